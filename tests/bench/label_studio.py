"""This platform and Label Studio, driven by one outside load test, in turn, in one run.

LOADTEST names the load test's file, LABEL_STUDIO_VENV a virtual environment with Label Studio and
what the load test needs (`pip install label-studio uwsgi httpx psutil`), DATABASE_URL an empty
database of a PostgreSQL that has the extension pg_trgm, which Label Studio needs. Where one of them
is not set, this part says so and is left out.

Both have a database of their own on that PostgreSQL, Label Studio four processes of uWSGI, as its
own image has it, this platform the web server and the default worker of the Procfile. Every figure
is the mean of two looks, ours and theirs in turn; the programs of both are there all the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bench.programs import end, free_port, in_a_process, program, server, wait_for
from tests.bench.yardstick import ROOT

LOADTEST, VENV, DATABASE = "LOADTEST", "LABEL_STUDIO_VENV", "DATABASE_URL"
LOOPS = {1: 60, 8: 30, 32: 24}
"""Labels of each annotator in one look, by their number."""
TASKS = 2_000
"""In one look at an import; two of them are what is labelled."""
LOOKS = 2
OWNER, PASSWORD = "owner", "haiku-load-test"
ADMIN, TOKEN = "admin@example.com", "a" * 40
START_SECONDS = 240
PROCESSES = 4


def measure() -> list[dict[str, Any]]:
    """Return a row for each figure, with the ratio; none where something is not set."""
    missing = [name for name in (LOADTEST, VENV, DATABASE) if not os.environ.get(name)]
    if missing:
        print(
            f"Label Studio is left out: {' and '.join(missing)} not set (see "
            "tests/bench/label_studio.py)."
        )
        return []
    return in_a_process("tests.bench.label_studio", keep_database=True)


@dataclass(frozen=True)
class Subject:
    """One of the two, as the load test knows it."""

    program: list[str]
    base: str
    pid: int
    folder: Path

    def ask(self, command: str, *options: object) -> dict[str, Any]:
        """Carry out a command of the load test and return what it found."""
        words = [*self.program, "--base", self.base, "--pid", self.pid, command, *options]
        answer = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            check=True,
        )
        found: dict[str, Any] = json.loads(answer.stdout.decode().splitlines()[-1])
        return found


# In the process that has the database


def main() -> None:
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ls-", dir="/tmp")))
        both = [stack.enter_context(ours(place)), stack.enter_context(theirs(place))]
        people = max(LOOPS)
        for one in both:
            one.ask("setup", "--n-users", people, "--overlap", 1)
        imports: list[list[dict[str, Any]]] = [[], []]
        for look in range(LOOKS):
            for one, found in zip(both, imports, strict=True):
                found.append(one.ask("import", "--n", TASKS, "--start", look * TASKS))
        tell(f"import, {TASKS:,} tasks", "tasks_per_s", imports)
        for users, loops in LOOPS.items():
            labels: list[list[dict[str, Any]]] = [[], []]
            for _ in range(LOOKS):
                for one, found in zip(both, labels, strict=True):
                    found.append(one.ask("loop", "--users", users, "--loops", loops))
            tell(f"labels, {users} annotators", "labels_per_s", labels)
        exports: list[list[dict[str, Any]]] = [[], []]
        for _ in range(LOOKS):
            for one, found in zip(both, exports, strict=True):
                look = one.ask("export", "--fmt", "JSON")
                found.append({**look, "rows_per_s": look["rows"] / look["wall_s"]})
        tell(f"export, {exports[0][0]['rows']:,} tasks as JSON", "rows_per_s", exports)


def tell(what: str, rate: str, found: list[list[dict[str, Any]]]) -> None:
    """Print what both did in a second, how many times as much ours was, and what it took."""
    mine, their = ([look[rate] for look in looks] for looks in found)
    row: dict[str, Any] = {
        "what": what,
        "ours_a_second": shown(mine),
        "label_studio_a_second": shown(their),
        "times": round(fmean(mine) / fmean(their), 1) if fmean(their) else "–",
    }
    for name, looks in zip(("ours", "label_studio"), found, strict=True):
        last = looks[-1]
        row[f"{name}_ms"] = "–"
        if last.get("submit_ms"):
            row[f"{name}_ms"] = " ".join(
                f"{last[part]['p50']:.0f}/{last[part]['p95']:.0f}/{last[part]['p99']:.0f}"
                for part in ("next_ms", "submit_ms")
            )
        row[f"{name}_mb"] = sum(last["rss_peak_mb"])
        row[f"{name}_errors"] = sum(
            sum(look.get("errors", {}).values()) + look.get("failed_requests", 0) for look in looks
        )
    row["others_cores"] = round(fmean(look["others_cores"] for looks in found for look in looks), 2)
    print(json.dumps(row), flush=True)


def shown(looks: list[float]) -> str:
    return " ".join(f"{look:.1f}" for look in looks)


@contextmanager
def ours(place: Path) -> Iterator[Subject]:
    """Yield this platform, with an owner who has a project."""
    from django.core.management import call_command

    from annotations import services
    from annotations.models import User

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user(OWNER, password=PASSWORD)
    services.create_project(name="Bench", description="", created_by=owner)
    os.environ.update(OWNER_USERNAME=OWNER, OWNER_PASSWORD=PASSWORD)
    folder = place / "ours"
    folder.mkdir()
    with program("broker"), server() as (port, web), program("worker-default"):
        yield Subject(
            [python(), "-m", "tests.load.adapter", os.environ[LOADTEST]],
            f"http://127.0.0.1:{port}",
            web.pid,
            folder,
        )


@contextmanager
def theirs(place: Path) -> Iterator[Subject]:
    """Yield Label Studio, on a database of its own."""
    from django.db import connection

    folder = place / "theirs"
    (folder / "out").mkdir(parents=True)
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS label_studio")
        cursor.execute("CREATE DATABASE label_studio")
    base, environment = f"http://127.0.0.1:{free_port()}", environment_of(folder)
    bound = urlsplit(base)
    venv = Path(os.environ[VENV])
    # Started by itself it makes its tables and its first account; served it is by uWSGI.
    start = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(bound.port)]
    account = ["--username", ADMIN, "--password", PASSWORD, "--user-token", TOKEN]
    first = [str(venv / "bin" / "label-studio"), *start, *account, "--enable-legacy-api-token"]
    with served(first, folder, environment, base):
        pass
    uwsgi = f"--master --lazy-apps --enable-threads --die-on-term --vacuum --processes {PROCESSES}"
    quiet = ["--buffer-size", "65535", "--harakiri", "120", "--disable-logging"]
    # It ends each connection: clients that are not told send their next request into nothing.
    module = ["--module", "core.wsgi:application", "--http", bound.netloc]
    module += ["--add-header", "Connection: close"]
    command = [str(venv / "bin" / "uwsgi"), *module, *uwsgi.split(), *quiet]
    (package,) = venv.glob("lib/python3*/site-packages/label_studio")
    with served(command, package, environment, base) as pid:
        yield Subject([python(), os.environ[LOADTEST]], base, pid, folder)


def python() -> str:
    return str(Path(os.environ[VENV]) / "bin" / "python")


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of Label Studio, on the server that this process' database is on."""
    url = urlsplit(os.environ["DATABASE_URL"])
    host = parse_qs(url.query).get("host", [url.hostname or ""])[0]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DEBUG", "DEMO", "SECRET_KEY", "PYTHONPATH")
    }
    return environment | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_USERNAME": ADMIN,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "label_studio.core.settings.label_studio",
        "DJANGO_DB": "default",
        "POSTGRE_NAME": "label_studio",
        "POSTGRE_USER": url.username or "postgres",
        "POSTGRE_PASSWORD": url.password or "none",
        "POSTGRE_HOST": host,
        "POSTGRE_PORT": str(url.port or 5432),
    }


@contextmanager
def served(
    command: list[str], folder: Path, environment: dict[str, str], base: str
) -> Iterator[int]:
    """Serve Label Studio for as long as the block lasts; yield its process."""
    log = Path(environment["LABEL_STUDIO_BASE_DATA_DIR"]) / "server.log"
    with log.open("ab") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)

    def is_up() -> bool:
        with suppress(OSError):
            return bool(urllib.request.urlopen(f"{base}/health", timeout=5).status == 200)
        return False

    try:
        wait_for(is_up, START_SECONDS, process)
        yield process.pid
    except SystemExit:
        print(log.read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        end(process)
        time.sleep(1)  # the port is free again


if __name__ == "__main__":
    import django

    django.setup()
    main()
