"""Which tests come first, so that nobody waits for a long one alone at the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

LONG = (
    "test_start.py",
    "test_chaos.py",
    "test_journey.py",
    "test_resume.py",
    "test_workers.py",
    "test_laws.py",
    "test_launch.py",
)
"""Files of tests that take a quarter of a minute and more, or wait for several processes."""


def dealt(long: Sequence[T], others: Sequence[T], processes: int) -> list[T]:
    """Return tests so that each process has its share of the long ones, and has them first.

    xdist gives the first process the first part of the list, the next one the next part.

    >>> dealt(["L1", "L2", "L3"], ["a", "b", "c", "d"], 2)
    ['L1', 'L3', 'a', 'L2', 'b', 'c', 'd']
    """
    found: list[T] = []
    left, total = iter(others), len(long) + len(others)
    for process in range(processes):
        part, share = (total - len(found)) // (processes - process), long[process::processes]
        found += [*share, *islice(left, max(0, part - len(share)))]
    return [*found, *left]
