"""What an answer to each open item would tell a reward model or a leaderboard.

What a reward model would learn its own run says (`training.pipeline.weigh`); what a leaderboard
would is reckoned here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotations import services as annotation_services
from annotations.algorithms.arms import LEADERBOARD, REWARD, Expected, ExpectedPair
from annotations.algorithms.bradley_terry import RIDGE, fit, hessian
from annotations.algorithms.worth import Questions, ask_order
from annotations.services import QuestionRow, ShownRow
from training.models import Checkpoint
from training.selectors.board import battles_of
from training.selectors.marked_votes import marks, voters
from training.selectors.vote_log import vote_log

if TYPE_CHECKING:
    from annotations.models import Project

TAKEN_ONE_BY_ONE = 400
"""More than are handed out before the items are weighed again."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """What an answer to an item would tell a reward model, in the order in which to ask."""

    item_id: int
    nats: float
    pairs: Sequence[ExpectedPair]


def record(
    project: Project,
    kind: str,
    scored: Sequence[Scored],
    model: Checkpoint | None,
    left_out: int = 0,
) -> None:
    """Put the open items of a kind in order: by what a reward model, or else the board, gains.

    Evaluations teach no model, so only the board has a say there. Where nothing is known of any
    item nothing is changed, and that is written down.
    """
    rows = list(annotation_services.open_questions(project, kind))
    seconds = {row["item_id"]: row["seconds"] for row in rows}
    worths = [_worth(one, REWARD, seconds) for one in scored if one.item_id in seconds]
    by_board = [row for row in rows if row["evaluates"] or model is None]
    of_board = _for_the_board(project, by_board)
    worths += [_worth(one, LEADERBOARD, seconds) for one in of_board]
    known = {one.item_id for one in worths}
    if worths:
        rest = (Scored(item_id, 0.0, ()) for item_id in seconds if item_id not in known)
        worths += [_worth(one, "", seconds) for one in rest]
    annotation_services.record_worth(
        project, kind, worths, model_id=model.pk if model else None, left_out=left_out
    )


def _worth(one: Scored, aim: str, seconds: Mapping[int, float]) -> annotation_services.ItemWorth:
    expected: Expected = {
        "aim": aim,
        "nats": one.nats,
        "seconds": seconds[one.item_id],
        "pairs": list(one.pairs),
    }
    return annotation_services.ItemWorth(one.item_id, expected)


def _for_the_board(project: Project, rows: Sequence[QuestionRow]) -> list[Scored]:
    """Return the items that show answers of two checkpoints, in the order in which to ask them.

    By the checkpoints alone, whatever the texts: so a choice has no say in who wins.
    """
    pairs = [(place, *pair) for place, row in enumerate(rows) for pair in _between(row)]
    if not pairs:
        return []
    places = sorted({place for place, *_ in pairs})
    board = _Board.of(project, (one["checkpoint_id"] for _, *both in pairs for one in both))
    x = np.array([board.difference(a, b) for _, a, b in pairs])
    mean = x @ board.theta
    questions = Questions(
        item=np.searchsorted(places, [place for place, *_ in pairs]),
        difference=x,
        mean=mean,
        share=np.array([2 / len(rows[place]["completions"]) for place, *_ in pairs]),
        seconds=np.array([rows[place]["seconds"] for place in places]),
    )
    found = ask_order(questions, board.covariance, most=TAKEN_ONE_BY_ONE)
    by_item: dict[int, list[ExpectedPair]] = {}
    for (place, a, b), m, v, share in zip(
        pairs, mean, found.variance, questions.share, strict=True
    ):
        by_item.setdefault(place, []).append(
            {
                "first": a["id"],
                "second": b["id"],
                "mean": round(float(m), 4),
                "variance": round(float(v), 4),
                "share": float(share),
            }
        )
    return [
        Scored(rows[places[one]]["item_id"], round(float(found.nats[one]), 6), by_item[places[one]])
        for one in found.order
    ]


def _between(
    row: QuestionRow,
) -> Iterable[tuple[ShownRow, ShownRow]]:
    for first, second in combinations(row["completions"], 2):
        both = (first["checkpoint_id"], second["checkpoint_id"])
        if None not in both and both[0] != both[1]:
            yield first, second


@dataclass(frozen=True)
class _Board:
    """How strong checkpoints are by the votes so far, and what is not known of it."""

    places: dict[int, int]
    theta: Floats
    covariance: Floats

    @classmethod
    def of(cls, project: Project, shown: Iterable[int | None]) -> _Board:
        log = vote_log(project)
        unmarked = log.rows[~marks(log, voters(log)).any]
        fought = replace(battles_of(unmarked), cluster=None)
        idle = sorted({one for one in shown if one is not None} - set(fought.models))
        battles = replace(fought, models=(*fought.models, *idle))
        theta = fit(battles).parameters
        known = hessian(theta, battles.aggregated(), RIDGE)
        places = {one: place for place, one in enumerate(battles.models)}
        return cls(places, theta, np.asarray(np.linalg.inv(known), dtype=float))

    def difference(self, first: ShownRow, second: ShownRow) -> Floats:
        x = np.zeros(len(self.places))
        for one, sign in ((first, 1), (second, -1)):
            if one["checkpoint_id"] is not None:
                x[self.places[one["checkpoint_id"]]] = sign
        return x
