"""A project's votes between checkpoints as arrays, kept where all processes find them.

To read 100,000 votes with their texts takes seconds, so what was read is cached. Each look asks
the database for three numbers; where votes have come since, only those are read. The cache may be
lost at any time: then everything is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotations import exports
from annotations.algorithms.answer_style import styles_of
from annotations.algorithms.identity import VENDORS, names_model
from annotations.kept import keep, recall
from training.models import Checkpoint

if TYPE_CHECKING:
    from annotations.models import Project

VOTES = "votes"
"""What they are kept as."""
OUTCOMES = ("left", "right", "tie", "both_bad")
NOT_BLIND = frozenset({"asks_who", "names_model"})
"""Marks of the arena that say who wrote an answer, or who was asked."""
KEPT_BACK = 500
"""Votes that may be read again with each look before the cache is written anew."""

AT_ONCE = 2_000
"""Votes whose texts are in memory at a time."""
BEGINNING = 4
"""Characters of a name that are looked for first."""

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


COLUMNS = {
    "annotation": "annotation_id",
    "item": "item_id",
    "prompt": "prompt_id",
    "left": "left_checkpoint_id",
    "right": "right_checkpoint_id",
}
"""Numbers of a row that stand in a vote as they are."""


@dataclass(frozen=True)
class VoteLog:
    """N votes in the order in which they were cast, and when they were read."""

    rows: NDArray[Any]
    """(N,) of ROW: left and right are checkpoint ids, voters places in `voters`."""
    voters: tuple[str, ...]
    counts: exports.VoteCounts


NOTHING = VoteLog(np.empty(0, dtype=ROW), (), exports.VoteCounts(0, 0, 0, 0))


def vote_log(project: Project, counts: exports.VoteCounts | None = None) -> VoteLog:
    """Return the votes between the project's checkpoints that are in force.

    Whoever has just counted them says so.
    """
    known: VoteLog | None = recall(project, VOTES)
    counts = counts or exports.vote_counts(project.pk)
    if known is not None and known.counts == counts:
        return known
    current = _continued(project, known, counts) if known is not None else None
    if current is None:
        current = _appended(project, NOTHING, counts)
    elif known is not None and counts.annotations - known.counts.annotations < KEPT_BACK:
        return current
    keep(project, VOTES, current)
    return current


def _continued(project: Project, known: VoteLog, counts: exports.VoteCounts) -> VoteLog | None:
    """Return the known votes with those that came since, or None where that does not add up.

    An annotation may become visible after one with a higher number, and a recall takes out or
    brings back votes of any age.
    """
    if known.counts.recalls != counts.recalls:
        return None
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
    names = dict(Checkpoint.objects.filter(project=project).values_list("id", "name"))
    votes = exports.votes(project.pk, after=known.counts.newest)
    parts = [known.rows]
    while some := list(islice(votes, AT_ONCE)):
        parts.append(_rows(some, voters, names))
    rows = np.concatenate(parts)
    return VoteLog(rows[rows["annotation"] <= counts.newest], tuple(voters), counts)


def _rows(
    votes: Sequence[exports.VoteRow], voters: dict[str, int], names: Mapping[int, str]
) -> NDArray[Any]:
    """Return votes as an array of ROW; voters who are new get the next place."""
    rows = np.empty(len(votes), dtype=ROW)
    for column, field in COLUMNS.items():
        # COLUMNS names keys of VoteRow, which mypy knows only where they stand as literals.
        rows[column] = [vote[field] for vote in votes]  # type: ignore[literal-required]
    rows["voter"] = [voters.setdefault(vote["annotator"], len(voters)) for vote in votes]
    rows["outcome"] = [OUTCOMES.index(vote["outcome"]) for vote in votes]
    rows["gold"] = [vote["purpose"] == "gold" for vote in votes]
    rows["spoilt"] = [not NOT_BLIND.issuperset(vote["marks"]) for vote in votes]
    left, right = ([vote[side] for vote in votes] for side in ("left_text", "right_text"))
    rows["style"] = styles_of(left) - styles_of(right)
    said = "\n".join([*left, *right]).casefold()
    vendors = _may_be_said(VENDORS, said)
    own_said = _may_be_said(names.values(), said)
    own = {number: name for number, name in names.items() if name in own_said}
    rows["named"] = [is_named(vote, _names_of_both(vote, own), vendors) for vote in votes]
    return rows


def _may_be_said(names: Iterable[str], said: str) -> set[str]:
    """Return the names to look for in each of many texts: those whose beginning is in one of them.

    Checkpoints of one kind begin alike, so that a few beginnings are looked for, and not each name.
    """
    beginnings: dict[str, list[str]] = {}
    for name in names:
        word = name.casefold().split()[0] if name.strip() else ""  # white space within may differ
        beginnings.setdefault(word[:BEGINNING], []).append(name)
    return {name for start, alike in beginnings.items() if start in said for name in alike}


def _names_of_both(vote: exports.VoteRow, names: Mapping[int, str]) -> list[str]:
    both = (vote["left_checkpoint_id"], vote["right_checkpoint_id"])
    return [names[one] for one in both if one in names]


def is_named(
    vote: exports.VoteRow, names: Sequence[str], vendors: Collection[str] = VENDORS
) -> bool:
    """Return whether a text says who wrote it: the names of the two, or one of the vendors'.

    The arena looked already, and knows what was asked.
    """
    if vote["purpose"] == "arena":
        return not NOT_BLIND.isdisjoint(vote["marks"])
    if not names and not vendors:
        return False
    texts = vote["left_text"], vote["right_text"]
    plain = " ".join(" ".join(texts).casefold().split())
    # Most texts hold none of the names, and to look for that is a hundred times quicker.
    if not any(name in plain for name in (*vendors, *(name.casefold() for name in names))):
        return False
    return any(names_model(text, names) for text in texts)
