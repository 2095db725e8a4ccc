"""Which fault comes when: drawn from a seed alone, so that a bad day can be had again."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

AGAIN = "deliver again"
FILL = "fill the disk of"
FORGET = "forget"
KINDS = {
    "kill": 5.0,
    "suspend": 3.0,
    FILL: 2.0,
    "cut": 2.0,
    "hang": 2.0,
    AGAIN: 1.2,
    FORGET: 0.8,
}
"""How often each kind comes, beside the others."""
AT_ONCE = {AGAIN: "every message", FORGET: "every message"}
"""What needs no target, and is over as soon as it has happened."""
LONGEST_S = {"kill": 0.0, "suspend": 14.0, FILL: 5.0, "cut": 6.0, "hang": 6.0}
"""A worker may sleep for longer than a run may be silent: its run is another's when it wakes up."""
EVERY_S = 3.0


@dataclass(frozen=True)
class Fault:
    """Something that breaks at a moment, and stays broken for a while."""

    at: float
    kind: str
    target: str
    lasts: float = 0.0

    def __str__(self) -> str:
        until = f" for {self.lasts:.1f} s" if self.lasts else ""
        return f"{self.at:6.1f} s  {self.kind} {self.target}{until}"


def plan(
    seed: int,
    seconds: float,
    processes: Sequence[str],
    links: Sequence[str],
    *,
    every_s: float = EVERY_S,
    every_kind: bool = False,
    never_full: Collection[str] = (),
) -> list[Fault]:
    """Return the faults of a day: one every few seconds, some at the same time.

    Where they come thicker they are shorter. With `every_kind` each kind comes once before any
    comes again, however short the day is. The disks of those in `never_full` cannot be filled.

    >>> plan(1, 30, ["web"], ["broker"]) == plan(1, 30, ["web"], ["broker"])
    True
    """
    draw = random.Random(seed)
    due = draw.sample(list(KINDS), len(KINDS)) if every_kind else []
    faults, at = [], 0.0
    while (at := at + draw.expovariate(1 / every_s)) < seconds or due:
        (kind,) = [due.pop()] if due else draw.choices(list(KINDS), list(KINDS.values()))
        if kind in AT_ONCE:
            faults.append(Fault(at, kind, AT_ONCE[kind]))
            continue
        hit = [name for name in processes if kind != FILL or name not in never_full]
        target = draw.choice(list(links) if kind in ("cut", "hang") else hit)
        longest = LONGEST_S[kind] * min(1.0, every_s / EVERY_S)
        faults.append(Fault(at, kind, target, draw.uniform(0.2, 1) * longest))
    return faults
