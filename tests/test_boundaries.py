"""Who may import whom: the written contracts, and what a running web process really holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)

LOAD_THE_WEB = """
import sys
import django
django.setup()
from django.urls import get_resolver
from labelstudio_llm.wsgi import application

def resolve(patterns):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            resolve(pattern.url_patterns)

resolve(get_resolver().url_patterns)
import training.tasks
heavy = {"torch", "transformers", "trl", "peft", "datasets", "accelerate"} & set(sys.modules)
sys.exit(f"The web process imports {', '.join(sorted(heavy))}." if heavy else 0)
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_keeps_the_import_contracts() -> None:
    lint = run(str(Path(sys.executable).with_name("lint-imports")))
    assert lint.returncode == 0, lint.stdout


def test_it_never_imports_torch_in_the_web_or_worker_process() -> None:
    web = run(sys.executable, "-c", LOAD_THE_WEB)
    assert web.returncode == 0, web.stderr


def test_it_has_a_migration_for_every_change_of_a_model() -> None:
    check = run(sys.executable, "manage.py", "makemigrations", "--check", "--dry-run")
    assert check.returncode == 0, check.stdout + check.stderr
