"""How fast data comes in and goes out: votes as JSONL, and every export that they give.

The commands that do what the pages do, each in a process of its own, so that its memory can be told
from that of the others; on PostgreSQL the server's own is not counted.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.programs import DATABASES, in_a_process
from tests.bench.subjects import LINES
from tests.bench.yardstick import measured, peak_megabytes

VOTES = 20_000
PEOPLE = 20
PROJECT = "Bench"
EXPORTS = (
    ("label-studio", "json"),
    ("annotations", "jsonl"),
    ("preference", "jsonl"),
    ("preference", "parquet"),
    ("prompts", "jsonl"),
)


def measure() -> list[dict[str, Any]]:
    """Return a row for each database and direction."""
    return [
        {"database": database, **row}
        for database in DATABASES
        for row in in_a_process("tests.bench.transfer", database=database)
    ]


# In the process that has the database


def main(votes: int) -> None:
    """Print a JSON line for the import, for the same file again, and for each export."""
    from django.core.management import call_command

    from annotations import services
    from annotations.models import User

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("owner")
    services.create_project(name=PROJECT, description="", created_by=owner)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "votes.jsonl"
        write_votes(file, votes)
        for name in ("import, JSONL", "the same again"):
            tell(name, votes, file, ["import_file", PROJECT, str(file)])
        for content, ending in EXPORTS:
            file = Path(place) / f"{content}.{ending}"
            tell(
                f"{content}, {ending}", votes, file, ["export_project", PROJECT, content, str(file)]
            )


def write_votes(file: Path, votes: int) -> None:
    """Write so many votes, two on each pair of answers."""
    draw = random.Random(0)
    with file.open("w", encoding="utf-8") as lines:
        for number in range(votes):
            pair = random.Random(number // 2)
            row = {
                "prompt": f"Write a haiku about number {number // 2}.",
                "left": "\n".join(pair.sample(LINES, 3)),
                "right": "\n".join(pair.sample(LINES, 3)) + ".",
                "winner": draw.choice(("left", "right", "tie")),
                "annotator": f"person {(number // 2 + number % 2) % PEOPLE}",
            }
            lines.write(json.dumps(row) + "\n")


def tell(what: str, votes: int, file: Path, command: list[str]) -> None:
    found = measured("tests.bench.transfer", {"command": command})
    row = {
        "what": what,
        "votes": votes,
        "seconds": round(found["seconds"], 1),
        "cpu_s": round(found["cpu_s"], 1),
        "votes_per_second": round(votes / found["seconds"]),
        "peak_mb": found["peak_mb"],
        "file_mb": round(file.stat().st_size / 1e6, 1),
    }
    print(json.dumps(row), flush=True)


# In the process of one command


def carry_out(command: list[str]) -> None:
    from django.core.management import call_command

    started, processor = time.monotonic(), time.process_time()
    call_command(*command, stdout=io.StringIO())
    found = {
        "seconds": time.monotonic() - started,
        "cpu_s": time.process_time() - processor,
        "peak_mb": peak_megabytes(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    import django

    django.setup()
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", nargs="?", type=json.loads, help="of the process of a command")
    parser.add_argument("--votes", type=int, default=VOTES)
    arguments = parser.parse_args()
    if arguments.settings:
        carry_out(arguments.settings["command"])
    else:
        main(arguments.votes)
