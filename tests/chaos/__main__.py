"""`make chaos`: people label and runs train while everything breaks, and then the laws are checked.

    python -m tests.chaos --seed 7 --seconds 120 --database postgresql

The seed draws the faults and their times, so a bad day can be had again; what processes do between
them is theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.system import PostgreSQL


SHORT_EVERY_S = 1.0


def main() -> int:
    """Return 0 if every law held."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=None, help="default: drawn and printed")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long things break")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--children", choices=["tiny", "scripted"], default="tiny")
    parser.add_argument("--people", type=int, default=6, help="who label at the same time")
    parser.add_argument(
        "--short",
        action="store_true",
        help="faults thick and fast, each kind at least once; one worker; scripted children",
    )
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(10_000)
    if arguments.short:
        arguments.children, arguments.people = "scripted", 4
        os.environ["CHAOS_SHORT"] = "1"
    with place() as folder, postgresql(arguments.database, folder) as database:
        return spend_the_day(arguments, folder, database)


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """Yield a folder with a short path, since sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def postgresql(database: str, folder: Path) -> Iterator[PostgreSQL | None]:
    if database == "sqlite":
        yield None
        return
    from tests.chaos.disk import limited
    from tests.chaos.system import PostgreSQL

    with (
        tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as own,
        limited(Path(own) / "data") as disk,
    ):
        if disk is None:
            say("The disk of the database does not get full: that takes root.")
        server = PostgreSQL(Path(own) / "data", folder / "database.log", disk)
        try:
            yield server
        finally:
            server.end(20)


def spend_the_day(arguments: argparse.Namespace, folder: Path, database: PostgreSQL | None) -> int:
    variables = set_up(folder, database, arguments.children)
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tests.chaos import day
    from tests.chaos.history import verdicts
    from tests.chaos.schedule import plan
    from tests.chaos.system import System
    from training import tasks

    call_command("migrate", verbosity=0, run_syncdb=True)
    base = make_tiny_base(folder) if arguments.children == "tiny" else None
    items = 240 + int(
        arguments.seconds * 12
    )  # three people each: more than a quick machine gets through
    runs_s = 15 if arguments.children == "tiny" else 4
    project, runs = day.prepare(
        arguments.people, items, max(2, int(arguments.seconds / runs_s)), base
    )
    url = variables["DATABASE_URL"]
    system = System(folder, free_port(), url, variables, postgresql=database)
    tasks.execute_run.app.conf.broker_url = f"redis+socket://{system.broker_socket}"
    people = day.people_of(project, system.port, arguments.seed)
    say(f"seed {arguments.seed}, {arguments.seconds:g} s, {connection.vendor}, {len(runs)} runs")
    try:
        system.start(together=arguments.short)
        thick = {"every_s": SHORT_EVERY_S, "every_kind": True} if arguments.short else {}
        targets, lines = system.targets, list(system.lines)
        never_full = [database.name] if database and database.disk is None else []
        faults = plan(
            arguments.seed, arguments.seconds, targets, lines, **thick, never_full=never_full
        )
        say(f"{len(faults)} faults, schedule {day.name_of(faults)}")
        history = day.live_through(system, faults, people, runs, say)
    finally:
        system.end()
    held = tell(verdicts(history, day.look_around(system, project)))
    connection.close()
    if not held:
        kept = folder.with_name(f"{folder.name}-seed-{arguments.seed}")
        shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sock"))
        say(f"Logs, database and files of this day lie in {kept}.")
    return 0 if held else 1


def set_up(folder: Path, database: PostgreSQL | None, children: str) -> dict[str, str]:
    """Set the environment of this process and return what those of the platform are given."""
    url = database.uri if database else f"sqlite:///{folder / 'db.sqlite3'}"
    variables = {
        "VAR_DIR": str(folder),
        "DATABASE_URL": url,
        "DEMO": "1",
        "CHAOS_CHILD": children,
        "SCRIPTED_STEPS": "20",
        "SCRIPTED_STEP_S": "0.15",
        "OMP_NUM_THREADS": "1",
        "CODE_VERSION": "chaos",
    }
    os.environ.update(variables, DJANGO_SETTINGS_MODULE="tests.chaos.settings")
    for name in ("REDIS_URL", "ARTIFACTS_URL", "DEBUG"):
        os.environ.pop(name, None)
    return variables


def make_tiny_base(folder: Path) -> Path:
    """Make the model that runs start from, in a process of its own: this one needs no torch."""
    base = folder / "models" / "tiny"
    program = (
        "import pathlib, sys; from training.tests.tiny import build_tiny_model; "
        "build_tiny_model(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(base)], check=True, capture_output=True)
    return base


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def tell(found: dict[str, list[str]]) -> bool:
    """Print the verdict on every law; return whether all held."""
    for law, broken in found.items():
        say(f"  {'broken' if broken else 'holds '}  {law}")
        for sentence in broken[:10]:
            say(f"            {sentence}")
        if len(broken) > 10:
            say(f"            and {len(broken) - 10} more")
    return not any(found.values())


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    say(f"{time.monotonic() - started:.0f} s in all")
    sys.exit(status)
