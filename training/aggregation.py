"""One opinion from several votes on a pair: what of a snapshot's training rows it changes.

Each vote as it is: nothing. Majority: votes that were outvoted go, and so do pairs on which votes
are split evenly. Weighted: `annotations.algorithms.crowd` is fitted to the votes, and each row is
turned to the side that is probably better and gets a `target` (how often typical people would
choose it) and a `weight` (how much the votes have told about the pair). A row whose vote was for
the other side is marked `turned`, so that the vote is not lost.

Only rows of the split "train" are read or changed: what is measured on stays as people said it.
Without Django and without randomness, so the same rows give the same rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any

import numpy as np

from annotations.algorithms.crowd import FIRST, SECOND, TIE, Crowd, Votes, fit

Row = Mapping[str, Any]
Key = tuple[int, str, str]
Lefts = Mapping[tuple[int, int], int]

MAJORITY, WEIGHTED = "majority", "weighted"
WAYS = (MAJORITY, WEIGHTED)
DIGITS = 4
"""Of targets and weights: what lies beyond depends on the processor, and is in no hash."""


@dataclass(frozen=True)
class Aggregated:
    """The rows after their votes were put together, what that did, and which ties had a say."""

    rows: list[Row]
    report: dict[str, Any]
    annotation_ids: set[int]


def aggregated(rows: list[Row], ties: Iterable[Row], lefts: Lefts, way: str) -> Aggregated:
    """Return the rows with the training pairs' votes put together in one of WAYS.

    `ties` on the same pairs are votes as well, whether or not they are among the rows.
    """
    pairs = {_key(row) for row in rows if row["split"] == "train"}
    sided = [row for row in rows if _key(row) in pairs and not row.get("tie")]
    tied = [tie for tie in ties if tie["split"] == "train" and _key(tie) in pairs]
    votes = [*(row for row in sided if row["split"] == "train"), *tied]
    heard = {int(tie["annotation_id"]) for tie in tied}
    if way == MAJORITY:
        return Aggregated(*_by_majority(rows, votes), heard)
    return Aggregated(*_by_weight(rows, votes, lefts), heard)


def _key(row: Row) -> Key:
    """Return what all votes on the same two texts share."""
    first, second = sorted(row[side][0]["content"] for side in ("chosen", "rejected"))
    return row["prompt_id"], first, second


def _said(row: Row) -> int:
    """Return which text a row votes for: the first of its key, the second, or neither."""
    if row.get("tie"):
        return TIE
    return FIRST if row["chosen"][0]["content"] == _key(row)[1] else SECOND


def _by_majority(rows: list[Row], votes: list[Row]) -> tuple[list[Row], dict[str, Any]]:
    counts: dict[Key, Counter[int]] = defaultdict(Counter)
    for vote in votes:
        counts[_key(vote)][_said(vote)] += 1
    winners = {key: _winner(count) for key, count in counts.items()}
    kept = [row for row in rows if row["split"] != "train" or winners[_key(row)] == _said(row)]
    return kept, {
        "way": MAJORITY,
        "pairs": len(counts),
        "split_evenly": sum(winner is None for winner in winners.values()),
        "outvoted": len(rows) - len(kept),
    }


def _winner(count: Counter[int]) -> int | None:
    (first, most), *others = count.most_common()
    return None if others and others[0][1] == most else first


def _by_weight(rows: list[Row], votes: list[Row], lefts: Lefts) -> tuple[list[Row], dict[str, Any]]:
    keys = sorted({_key(vote) for vote in votes})
    names = sorted({vote["annotator"] for vote in votes})
    crowd = fit(_votes(votes, keys, names, lefts))
    better, target, told = crowd.better(), crowd.target(), crowd.information()
    opinions = {
        key: (
            FIRST if better[place] >= 0.5 else SECOND,
            round(float(max(target[place], 1 - target[place])), DIGITS),
            round(float(told[place]), DIGITS),
        )
        for place, key in enumerate(keys)
    }
    turned = [_turned(row, opinions) if row["split"] == "train" else row for row in rows]
    return turned, _report(crowd, names, votes, keys, opinions)


def _votes(votes: list[Row], keys: list[Key], names: list[str], lefts: Lefts) -> Votes:
    place = {key: number for number, key in enumerate(keys)}
    person = {name: number for number, name in enumerate(names)}
    pair = np.array([place[_key(vote)] for vote in votes], dtype=np.int64)
    ranked = Counter((vote["annotation_id"], vote["prompt_id"]) for vote in votes)
    share = np.array([_share(ranked[vote["annotation_id"], vote["prompt_id"]]) for vote in votes])
    return Votes(
        pair=pair,
        person=np.array([person[vote["annotator"]] for vote in votes], dtype=np.int64),
        choice=np.array([_said(vote) for vote in votes], dtype=np.int64),
        side=np.array([_side(vote, lefts) for vote in votes], dtype=np.int64),
        weight=np.bincount(pair, share) / np.bincount(pair),
    )


def _share(pairs: int) -> float:
    """Return the weight of one of the pairs that a ranking of K gave: 2 / K, of C(K, 2).

    >>> [_share(pairs) for pairs in (1, 6)]
    [1.0, 0.5]
    """
    return 2 / ((1 + isqrt(1 + 8 * pairs)) // 2)


def _side(vote: Row, lefts: Lefts) -> int:
    """Return 1 where the first text of the pair stood on the left, -1 on the right, else 0."""
    both = {"chosen": vote["chosen_id"], "rejected": vote["rejected_id"]}
    for right, left in (("chosen", "rejected"), ("rejected", "chosen")):
        if lefts.get((vote["annotation_id"], both[right])) == both[left]:
            return 1 if vote[left][0]["content"] == _key(vote)[1] else -1
    return 0


def _turned(row: Row, opinions: Mapping[Key, tuple[int, float, float]]) -> Row:
    better, target, weight = opinions[_key(row)]
    opinion = {"target": target, "weight": weight}
    first = row["chosen"][0]["content"] == _key(row)[1]
    if first == (better == FIRST):
        return {**row, **opinion}
    swapped = {
        "chosen": row["rejected"],
        "rejected": row["chosen"],
        "chosen_id": row["rejected_id"],
        "rejected_id": row["chosen_id"],
    }
    return {**row, **swapped, **opinion, **({} if row.get("tie") else {"turned": True})}


def _report(
    crowd: Crowd,
    names: list[str],
    votes: list[Row],
    keys: list[Key],
    opinions: Mapping[Key, tuple[int, float, float]],
) -> dict[str, Any]:
    ahead: dict[Key, int] = defaultdict(int)
    for vote in votes:
        ahead[_key(vote)] += {FIRST: 1, SECOND: -1, TIE: 0}[_said(vote)]
    weights = np.array([opinions[key][2] for key in keys])
    against = [
        key for key in keys if ahead[key] and (ahead[key] > 0) != (opinions[key][0] == FIRST)
    ]
    people = [
        {"annotator": name, **{what: _rounded(value) for what, value in asdict(person).items()}}
        for name, person in zip(names, crowd.people(), strict=True)
    ]
    squares = float((weights**2).sum())
    return {
        "way": WEIGHTED,
        "pairs": len(keys),
        "turned": len(against),
        "decided": sum(not ahead[key] for key in keys),
        "effective_pairs": round(float(weights.sum()) ** 2 / squares, 1) if squares else 0.0,
        "people": people,
    }


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(value, DIGITS)
