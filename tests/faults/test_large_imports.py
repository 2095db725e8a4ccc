"""A file that is larger than memory is allowed to be comes in once, whatever happens on the way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from annotations import services
from annotations.models import Annotation, Completion, Import, Item, Project, Prompt
from annotations.services.imports import HELD_FOR
from tests.faults.machine import Machine, wait_until

SIZE = 1024**3
MEMORY = 300 * 1024**2
BODY = "An old silent pond; a frog jumps into it. " * 450
"""Two of them are a row of 38 kB, nearly as long as one may be."""
PEOPLE = 20

IN_LITTLE_MEMORY = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, {MEMORY}))
import django
django.setup()
from django.core.management import call_command
from annotations import services
from annotations.models import Import
if sys.argv[1] == "run":
    services.run_import(Import.objects.get(id=sys.argv[2]))
else:
    call_command(*sys.argv[1:])
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.django_db(transaction=True)]


def write_rows(path: Path) -> tuple[int, int]:
    """Write so many votes, one of them spoilt. Return how many they are and the spoilt one."""
    count = SIZE // (2 * len(BODY))
    spoilt = count // 2
    with path.open("w") as file:
        for number in range(1, count + 1):
            row = {
                "prompt": f"Number {number}",
                "left": f"{number} {BODY}",
                "right": f"{number}. {BODY}",
                "winner": "nobody" if number == spoilt else "left",
                "annotator": f"person {number % PEOPLE}",
            }
            file.write(json.dumps(row) + "\n")
    return count, spoilt


class Child:
    """A process that may not have more than `MEMORY`."""

    def __init__(self, machine: Machine, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_LITTLE_MEMORY, *arguments],
            env=machine.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL, "it had ended before"

    def said(self) -> str:
        """Return what it said until it ended."""
        said, _ = self.process.communicate(timeout=3000)
        if found := re.search(r"VmHWM:\s+(\d+) kB", said):
            assert int(found[1]) * 1024 < MEMORY
        return said


def test_a_gigabyte_comes_in_once_in_little_memory(
    machine: Machine, project: Project, tmp_path: Path
) -> None:
    path = tmp_path / "votes.jsonl"
    count, spoilt = write_rows(path)
    assert path.stat().st_size > SIZE
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(1024**2), b"")
        brought = services.bring_file(project, path.name, chunks, project.created_by)

    services.start_import(brought)
    Child(machine, "run", str(brought.pk)).said()
    brought.refresh_from_db()
    assert (brought.state, brought.bad_count) == (Import.State.REFUSED, 1)
    assert [bad["line"] for bad in brought.bad] == [spoilt]
    assert not Prompt.objects.exists(), "nothing is written of a file that has a bad line"

    services.start_import(brought, leave_out_bad=True)
    imports = Import.objects.filter(id=brought.pk)
    half_way = imports.filter(state=Import.State.WRITING, rows__gte=count // 3)
    child = Child(machine, "run", str(brought.pk))
    wait_until(half_way.exists, 1500)
    child.kill()
    assert 0 < Annotation.objects.count() < count - 1
    imports.update(held_until=timezone.now() - HELD_FOR)  # a minute and a half later
    Child(machine, "run", str(brought.pk)).said()
    brought.refresh_from_db()
    assert (brought.state, brought.rows) == (Import.State.DONE, count)

    there = [model.objects.count() for model in (Prompt, Item, Annotation)]
    assert there == [count - 1] * 3
    assert Completion.objects.count() == 2 * (count - 1)
    again = Child(machine, "import_file", str(project.pk), str(path), "--leave-out-bad").said()
    assert "0 annotations, 0 prompts and 0 completions are new" in again
