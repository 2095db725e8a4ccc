"""The leaderboard: what blind votes between a project's checkpoints come to.

A vote of "both bad" says nothing about which is better. The board counts and shows it and leaves it
out of every rating, other than the promotion gate, which has to come to a decision and counts it
one half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations import exports
from annotations.algorithms.answer_style import STYLES
from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import (
    MEAN_RATING,
    ROUNDS,
    Fit,
    StyleEffect,
    bootstrap_intervals,
    fit,
)
from annotations.algorithms.ladders import (
    eigenvector,
    mean_win_fraction,
    newman,
    online_elo,
    pagerank,
)
from annotations.algorithms.pairing import Match, worthwhile_matches
from annotations.kept import is_kept, keep, recall
from training.models import Checkpoint
from training.selectors.marked_votes import Voter, marks, voters
from training.selectors.vote_log import OUTCOMES, VOTES, VoteLog, vote_log

if TYPE_CHECKING:
    from annotations.models import Project

Floats = NDArray[np.float64]

SCORES = np.array([1.0, 0.0, 0.5, np.nan])
"""What each of OUTCOMES is worth to the left side."""
VOTES_ASKED = 20
"""How many votes a pair is weighed by, and how many prompts people are asked about."""
ELSEWHERE = 0
"""No checkpoint has this id."""
MATCHES_SHOWN = 6
MATCHES_WEIGHED = 500
MOST_RESAMPLED = 200_000
MOST_RESAMPLED_WITH_STYLE = 20_000
"""Battles up to which the bootstrap answers in a few seconds."""
BOOTSTRAP_SEED = 0
AVERAGE = 0
"""As an anchor: the ratings are 1000 on average."""
SLOW_FROM = 5_000
"""Annotations below which reading all of them takes no time that anybody would notice."""


@dataclass(frozen=True)
class Wish:
    """What somebody wants to see of a board."""

    tag: str = ""
    """Only votes on prompts with this tag."""
    anchor: int | None = None
    """The checkpoint that is rated 1000, or AVERAGE; None leaves the choice to the board."""
    with_marked: bool = False
    style: bool = False
    bootstrap: bool = False
    more: bool = False
    """The other ladders, too."""


@dataclass(frozen=True)
class Line:
    """One checkpoint on the board."""

    checkpoint_id: int
    rank: int
    rating: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    both_bad: int
    people: int
    elo: float
    bootstrap: tuple[float, float] | None = None
    ladders: dict[str, float] = field(default_factory=dict)

    @property
    def battles(self) -> int:
        """Return how many votes the rating rests on."""
        return self.wins + self.ties + self.losses

    @property
    def is_held_by_prior(self) -> bool:
        """Return whether it won or lost everything, so that only the prior keeps it finite."""
        return self.battles > 0 and not self.ties and not (self.wins and self.losses)


@dataclass(frozen=True)
class Board:
    """The lines, best first, and what stands beside them."""

    wish: Wish
    """With the anchor that was taken."""
    lines: list[Line]
    votes: int
    """On the prompts that were asked for, marked ones and both-bads included."""
    counted: int
    people: int
    both_bad: int
    marked: int
    reasons: list[tuple[str, int]]
    voters: list[Voter]
    islands: list[tuple[int, ...]]
    styles: list[tuple[str, StyleEffect]]
    matches: list[Match[int]]
    won: Floats
    """(M, M) in the order of the lines: what the row won against the column, ties as half."""
    refused: list[str]
    """What was asked for and could not be reckoned, in sentences."""

    @property
    def has_only_ties(self) -> bool:
        """Return whether no vote prefers anything."""
        return self.counted > 0 and not any(line.wins for line in self.lines)


class RateAgainst(NamedTuple):
    """The chance that people prefer a checkpoint to the first one, with its 95 % interval."""

    checkpoint: Checkpoint
    rate: float
    low: float
    high: float
    n: int
    """Votes on the checkpoint, against whomever."""


@dataclass(frozen=True)
class _Ground:
    """What a board stands on beside the votes themselves; the same ground gives the same board."""

    counts: exports.VoteCounts
    roots: dict[int, int]
    anchors: list[int]
    """The checkpoints of which the first one that fought is the anchor, if nobody wants another."""
    prompts: list[int]
    """That have the tag which is asked for."""


class _Kept(NamedTuple):
    board: Board
    ground: _Ground


def leaderboard(project: Project, wish: Wish) -> Board:
    """Return the board; the same votes and the same wish are reckoned once."""
    ground, name = _ground(project, wish), _name(wish)
    kept: _Kept | None = recall(project, name)
    if kept is not None and kept.ground == ground:
        return kept.board
    log = vote_log(project, ground.counts)
    anchored = replace(wish, anchor=_anchor(log, wish.anchor, ground.anchors))
    board = _reckoned(log, anchored, ground)
    if ground.prompts or not wish.tag:  # of a tag that is none there may be any number
        keep(project, name, _Kept(board, ground))
    return board


def is_at_hand(project: Project) -> bool:
    """Return whether boards take no time: there are few votes, or they were read before."""
    return is_kept(project, VOTES) or exports.vote_counts(project.pk).annotations < SLOW_FROM


def _name(wish: Wish) -> str:
    """Return what the board of a wish is kept as: one for each wish, however the votes go on."""
    return f"board-{hashlib.sha256(repr(wish).encode()).hexdigest()}"


def _ground(project: Project, wish: Wish) -> _Ground:
    # The votes are counted first: one that comes now makes the next look reckon again.
    return _Ground(
        counts=exports.vote_counts(project.pk),
        roots=_roots(project),
        anchors=_anchors(project),
        prompts=exports.prompts_with_tag(project.pk, wish.tag) if wish.tag else [],
    )


def win_rate_against_first(project: Project) -> list[RateAgainst]:
    """Return how often each checkpoint would be preferred to the first promoted one, oldest first.

    By the ratings, so that a checkpoint need not have met the first one; but some chain of battles
    must lead there, else nothing is known of it. Marked votes are left out. Without a promoted
    checkpoint on the board the first is the oldest one.
    """
    log = vote_log(project)
    rows = log.rows[~marks(log, voters(log)).any]
    battles = battles_of(rows)
    if not len(battles.count):
        return []
    promoted = project.promotions.order_by("id").values_list("checkpoint_id", flat=True)
    met = [one for one, n in zip(battles.models, battles.fought(), strict=True) if n]
    first = next((one for one in promoted if one in met), min(met))
    island = next(group for group in battles.islands() if first in group)
    rates = fit(battles).win_rates_against(first)
    checkpoints = Checkpoint.objects.in_bulk(list(island))
    known = zip(battles.models, *rates.T.tolist(), battles.fought().tolist(), strict=True)
    return [
        RateAgainst(checkpoints[one], rate, low, high, int(n))
        for one, rate, low, high, n in known
        if one in island
    ]


def battles_of(rows: NDArray[Any], *, style: bool = False) -> Battles[int]:
    """Return the battles of votes, in their order. All that people said of one item is a cluster.

    Several votes on the same two texts, or all pairs of a ranking, are not independent.
    """
    ids = np.concatenate([rows["left"], rows["right"]])
    models, places = np.unique(ids, return_inverse=True)
    left, right = np.split(places.reshape(-1), 2)
    score = SCORES[rows["outcome"]]
    decided = ~np.isnan(score)
    items = np.unique(rows["item"][decided], return_inverse=True)[1].reshape(-1)
    is_clustered = len(items) > 0 and items.max() + 1 < len(items)
    return Battles(
        models=tuple(models.tolist()),
        left=left[decided],
        right=right[decided],
        score=score[decided],
        count=np.ones(int(decided.sum())),
        style=rows["style"][decided].astype(float) if style else np.zeros((decided.sum(), 0)),
        cluster=items if is_clustered else None,
    )


def _reckoned(log: VoteLog, wish: Wish, ground: _Ground) -> Board:
    people = voters(log)
    marked = marks(log, people)
    asked = (
        np.isin(log.rows["prompt"], ground.prompts) if wish.tag else np.ones(len(log.rows), bool)
    )
    kept = asked if wish.with_marked else asked & ~marked.any
    rows = log.rows[kept]
    battles = battles_of(rows, style=wish.style)
    fitted = fit(battles)
    lines, refused = _lines(rows, battles, fitted, wish)
    places = [battles.models.index(line.checkpoint_id) for line in lines]
    of_asked = marked.of(asked)
    return Board(
        wish=wish,
        lines=lines,
        votes=int(asked.sum()),
        counted=len(battles.count),
        people=len(np.unique(rows["voter"])),
        both_bad=len(rows) - len(battles.count),
        marked=int(of_asked.any.sum()),
        reasons=of_asked.reasons(),
        voters=people,
        islands=[group for group in battles.islands() if _has_fought(group, battles)],
        styles=list(zip(STYLES, fitted.style_effects(), strict=True)) if wish.style else [],
        matches=_matches(fitted, ground.roots),
        won=battles.win_matrix()[np.ix_(places, places)],
        refused=refused,
    )


def _lines(
    rows: NDArray[Any], battles: Battles[int], fitted: Fit[int], wish: Wish
) -> tuple[list[Line], list[str]]:
    """Return a line for each checkpoint, best first, and what could not be reckoned."""
    models = battles.models
    anchor = (wish.anchor, MEAN_RATING) if wish.anchor in models else None
    elo = online_elo(battles)
    spans, refused = _bootstrap(fitted, anchor, wish)
    ladders, more_refused = _ladders(battles) if wish.more else ({}, [])
    tallies = _tallies(rows, models)
    lines = []
    for standing in fitted.standings(anchor):
        place = models.index(standing.model)
        lines.append(
            Line(
                checkpoint_id=standing.model,
                rank=standing.rank,
                rating=standing.rating,
                low=standing.low,
                high=standing.high,
                **tallies[place],
                elo=float(elo[place]),
                bootstrap=spans[place] if spans else None,
                ladders={name: float(values[place]) for name, values in ladders.items()},
            )
        )
    return lines, [*refused, *more_refused]


def _tallies(rows: NDArray[Any], models: Sequence[int]) -> list[dict[str, int]]:
    """Return how often each checkpoint won, tied, lost and was bad, and how many people said so."""
    size, outcomes = len(models), len(OUTCOMES)
    left, right = np.searchsorted(models, rows["left"]), np.searchsorted(models, rows["right"])

    def by_outcome(side: NDArray[np.intp]) -> NDArray[np.intp]:
        counts = np.bincount(side * outcomes + rows["outcome"], minlength=size * outcomes)
        return counts.reshape(size, outcomes)

    of_left, of_right = by_outcome(left), by_outcome(right)
    wins, losses = of_left[:, 0] + of_right[:, 1], of_left[:, 1] + of_right[:, 0]
    ties, both_bad = (of_left + of_right)[:, 2:].T
    said = np.concatenate([left, right]) + size * np.tile(rows["voter"].astype(np.int64), 2)
    people = np.bincount(np.unique(said) % max(size, 1), minlength=size)
    names = ("wins", "ties", "losses", "both_bad", "people")
    counted = zip(wins, ties, losses, both_bad, people, strict=True)
    return [dict(zip(names, map(int, one), strict=True)) for one in counted]


def _bootstrap(
    fitted: Fit[int], anchor: tuple[int, float] | None, wish: Wish
) -> tuple[list[tuple[float, float]], list[str]]:
    if not wish.bootstrap:
        return [], []
    most = MOST_RESAMPLED_WITH_STYLE if wish.style else MOST_RESAMPLED
    if len(fitted.battles.count) > most:
        without = " Switch style control off, or choose a tag." if wish.style else " Choose a tag."
        return [], [f"The bootstrap takes too long beyond {most:,} battles.{without}"]
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    # Anchored as the intervals beside them are: all are moved, and the anchor's keeps its width.
    moved = fitted.ratings(anchor) - fitted.ratings()
    ends = bootstrap_intervals(fitted, rng=rng, rounds=ROUNDS) + moved[:, None]
    return [(low, high) for low, high in ends.tolist()], []


def _ladders(battles: Battles[int]) -> tuple[dict[str, Floats], list[str]]:
    """Return the scores of other methods by their names, and why one of them has none."""
    won = battles.win_matrix()
    found = {
        "Mean win rate": mean_win_fraction(battles.win_fractions()),
        "PageRank": pagerank(won),
        "Eigenvector": eigenvector(won),
    }
    try:
        found["Newman"] = newman(won, battles.tie_matrix())[0]
    except ValueError as error:
        return found, [str(error)]
    return found, []


def _matches(fitted: Fit[int], roots: dict[int, int]) -> list[Match[int]]:
    """Return the pairs worth asking about, of checkpoints that can answer in one run."""
    battles = fitted.battles
    idle = tuple(one for one in roots if one not in battles.models)
    everybody = replace(battles, models=(*battles.models, *idle), cluster=None)
    theta = fitted.parameters[: len(battles.models)]
    found = worthwhile_matches(
        everybody,
        np.concatenate([theta, np.zeros(len(idle))]),
        votes=VOTES_ASKED,
        most=MATCHES_WEIGHED,
    )
    met = [one for one in found if _can_meet(roots.get(one.first), roots.get(one.second))]
    return met[:MATCHES_SHOWN]


def _can_meet(first: int | None, second: int | None) -> bool:
    """Return whether one run can ask both: on one base, or one of them on a server elsewhere."""
    if first is None or second is None:
        return False
    return first != second if ELSEWHERE in (first, second) else first == second


def _has_fought(group: Sequence[int], battles: Battles[int]) -> bool:
    fought = battles.fought()
    return any(fought[battles.models.index(one)] for one in group)


def _roots(project: Project) -> dict[int, int]:
    """Return for each checkpoint that answers prompts the one whose weights it stands on.

    ELSEWHERE for one whose weights are not here.
    """
    answering = project.checkpoints.exclude(kind=Checkpoint.Kind.REWARD).order_by("id")
    by_id = {one.pk: one for one in answering}
    return {
        number: ELSEWHERE if one.is_external else _root(one, by_id) for number, one in by_id.items()
    }


def _root(checkpoint: Checkpoint, by_id: dict[int, Checkpoint]) -> int:
    while checkpoint.parent_id in by_id:
        checkpoint = by_id[checkpoint.parent_id]
    return checkpoint.pk


def _anchors(project: Project) -> list[int]:
    """Return the base models, then what was promoted, each the oldest first."""
    bases = project.checkpoints.filter(kind=Checkpoint.Kind.BASE).order_by("id")
    promoted = project.promotions.order_by("id")
    return [
        *bases.values_list("id", flat=True),
        *promoted.values_list("checkpoint_id", flat=True),
    ]


def _anchor(log: VoteLog, wanted: int | None, anchors: Sequence[int]) -> int:
    """Return the wanted anchor if it fought; else the first of the others that did."""
    fought = set(np.unique(np.concatenate([log.rows["left"], log.rows["right"]])).tolist())
    if wanted is not None and (wanted == AVERAGE or wanted in fought):
        return wanted
    return next((one for one in anchors if one in fought), AVERAGE)
