"""A project's votes between checkpoints as arrays, kept where all processes find them.

To read 100,000 votes with their texts takes seconds, so what was read is cached. Each look asks
the database for three numbers; where votes have come since, only those are read. The cache may be
lost at any time: then everything is read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotations import exports
from annotations.algorithms.answer_style import style_difference
from annotations.algorithms.identity import VENDORS, names_model
from training.models import Checkpoint
from training.selectors.kept import keep, recall

if TYPE_CHECKING:
    from annotations.models import Project

OUTCOMES = ("left", "right", "tie", "both_bad")
NOT_BLIND = frozenset({"asks_who", "names_model"})
"""Marks of the arena that say who wrote an answer, or who was asked."""
KEPT_BACK = 500
"""Votes that may be read again with each look before the cache is written anew."""

ROW = np.dtype(
    [
        ("annotation", "i8"),
        ("item", "i8"),
        ("prompt", "i8"),
        ("voter", "i4"),
        ("left", "i8"),
        ("right", "i8"),
        ("outcome", "i1"),
        ("gold", "?"),
        ("named", "?"),
        ("spoilt", "?"),
        ("style", "f4", (2,)),
    ]
)


@dataclass(frozen=True)
class VoteLog:
    """N votes in the order in which they were cast, and when they were read."""

    rows: NDArray[Any]
    """(N,) of ROW: left and right are checkpoint ids, voters places in `voters`."""
    voters: tuple[str, ...]
    counts: exports.VoteCounts


NOTHING = VoteLog(np.empty(0, dtype=ROW), (), exports.VoteCounts(0, 0, 0))


def vote_log(project: Project) -> VoteLog:
    """Return the votes between the project's checkpoints that are in force."""
    known: VoteLog | None = recall(project, "votes")
    counts = exports.vote_counts(project.pk)
    if known is not None and known.counts == counts:
        return known
    current = _continued(project, known, counts) if known is not None else None
    if current is None:
        current = _appended(project, NOTHING, counts)
    elif known is not None and counts.annotations - known.counts.annotations < KEPT_BACK:
        return current
    keep(project, "votes", current)
    return current


def _continued(project: Project, known: VoteLog, counts: exports.VoteCounts) -> VoteLog | None:
    """Return the known votes with those that came since, or None where that does not add up.

    An annotation may become visible after one with a higher number.
    """
    since = known.counts.newest
    newer = exports.vote_counts(project.pk, after=since, until=counts.newest)
    if known.counts.annotations + newer.annotations != counts.annotations:
        return None
    added = _appended(project, known, counts)
    withdrawn = exports.withdrawn_votes(project.pk, after=since)
    kept = ~np.isin(added.rows["annotation"], list(withdrawn))
    return replace(added, rows=added.rows[kept])


def _appended(project: Project, known: VoteLog, counts: exports.VoteCounts) -> VoteLog:
    """Return the votes with those newer than the known ones; what came after `counts` waits."""
    voters = {name: place for place, name in enumerate(known.voters)}
    rows = np.fromiter(_rows(project, voters, after=known.counts.newest), dtype=ROW)
    rows = rows[rows["annotation"] <= counts.newest]
    return VoteLog(np.concatenate([known.rows, rows]), tuple(voters), counts)


def _rows(project: Project, voters: dict[str, int], *, after: int) -> Iterator[tuple[Any, ...]]:
    """Yield the votes as tuples like ROW; voters who are new get the next place."""
    names = dict(Checkpoint.objects.filter(project=project).values_list("id", "name"))
    for vote in exports.votes(project.pk, after=after):
        left, right = vote["left_checkpoint_id"], vote["right_checkpoint_id"]
        of_both = [names.get(left, ""), names.get(right, "")]
        yield (
            vote["annotation_id"],
            vote["item_id"],
            vote["prompt_id"],
            voters.setdefault(vote["annotator"], len(voters)),
            left,
            right,
            OUTCOMES.index(vote["outcome"]),
            vote["purpose"] == "gold",
            is_named(vote, of_both),
            not NOT_BLIND.issuperset(vote["marks"]),
            style_difference(vote["left_text"], vote["right_text"]),
        )


def is_named(vote: exports.VoteRow, names: list[str]) -> bool:
    """Return whether a text says who wrote it: the names of the two, or any vendor's.

    The arena looked already, and knows what was asked.
    """
    if vote["purpose"] == "arena":
        return not NOT_BLIND.isdisjoint(vote["marks"])
    telling = [*VENDORS, *(name.casefold() for name in names)]
    for text in (vote["left_text"], vote["right_text"]):
        plain = " ".join(text.casefold().split())
        # Most texts hold none of the names, and to look for that is a hundred times quicker.
        if any(name in plain for name in telling) and names_model(text, names):
            return True
    return False
