"""What choosing saves: labels until a reward model, or a leaderboard, is as good as by chance.

A simulated crowd judges the same pool twice: items drawn at random, and items chosen by
`annotations.algorithms.worth` with the standing random arm beside them. What random labels reach is
the mark; counted is how many chosen labels reach it, and how many seconds of work they take. All of
it is reckoned in one run, from the same seeds.

Reward model: texts about topics, some asked about far more often than others; what makes a text
good is partly the same everywhere and partly a topic's own. The model is a logistic regression, the
last layer of a reward model whose trunk stands still; held out are pairs as they come.
`all alike` is the same without topics: then there is little to choose from, and little to save.

Leaderboard: checkpoints come one after the other, and of each there are mostly comparisons with the
one before. Compared is the mean width of the ratings' 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import RIDGE, fit, hessian
from annotations.algorithms.crowd import FIRST, SECOND, TIE
from annotations.algorithms.worth import (
    SPREAD,
    Questions,
    ask_order,
    belief,
    paid_seconds,
)

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

RANDOM_SHARE = 0.1
ROUND = 50
"""Labels after which everything is reckoned anew."""
LABELS, SEEDS = 1_000, 12
POOL, WINDOW, HELD_OUT = 6_000, 1_000, 4_000
TIES = 0.15
"""How many of two texts that are equally good typical people tie."""


def measure() -> list[dict[str, Any]]:
    """Return a row for each goal: labels and hours at random and chosen, and what that saves."""
    worlds = {"reward model": topical, "reward model, all alike": alike}
    rows = [
        _row(name, "held-out accuracy", [reward_curves(world, seed) for seed in range(SEEDS)])
        for name, world in worlds.items()
    ]
    board = [board_curves(seed) for seed in range(SEEDS)]
    return [*rows, _row("leaderboard", "interval, points", board, falling=True)]


@dataclass(frozen=True)
class Curve:
    """How good what was learned is after so many labels and so many seconds."""

    labels: Array
    seconds: Array
    reached: Array

    def until(self, mark: float, of: Array, *, falling: bool = False) -> float:
        """Return how much of labels or seconds the mark takes; all of it where it is not reached.

        Between two points it is a straight line. What was reached never gets worse by luck alone.
        """
        rising = -self.reached if falling else self.reached
        best = np.maximum.accumulate(rising)
        wanted = -mark if falling else mark
        if wanted > best[-1]:
            return float(of[-1])
        place = int(np.argmax(best >= wanted))
        if place == 0:
            return float(of[0])
        share = (wanted - best[place - 1]) / (best[place] - best[place - 1])
        return float(of[place - 1] + share * (of[place] - of[place - 1]))


Curves = tuple[Curve, Curve]
"""At random, and chosen."""


def _row(name: str, unit: str, found: list[Curves], *, falling: bool = False) -> dict[str, Any]:
    """Compare the mean curves, and the savings of the seeds for the interval."""
    plain, chosen = (_mean([curves[arm] for curves in found]) for arm in (0, 1))
    mark = float(plain.reached[-1])
    labels = chosen.until(mark, chosen.labels, falling=falling)
    seconds = chosen.until(mark, chosen.seconds, falling=falling)
    saved = np.array([_saved(curves, falling=falling) for curves in found])
    error = saved.std(ddof=1) / np.sqrt(len(saved)) if len(saved) > 1 else float("nan")
    return {
        "goal": name,
        "mark": f"{mark:.3f} {unit}" if mark < 1 else f"{mark:.1f} {unit}",
        "random_labels": int(plain.labels[-1]),
        "chosen_labels": round(labels),
        "labels_saved": round(1 - labels / float(plain.labels[-1]), 3),
        "by_seed": f"{saved.mean():.2f} ± {1.96 * error:.2f}",
        "random_hours": round(float(plain.seconds[-1]) / 3600, 2),
        "chosen_hours": round(seconds / 3600, 2),
        "hours_saved": round(1 - seconds / float(plain.seconds[-1]), 3),
    }


def _mean(curves: list[Curve]) -> Curve:
    parts = ("labels", "seconds", "reached")
    return Curve(*(np.mean([getattr(curve, part) for curve in curves], axis=0) for part in parts))


def _saved(curves: Curves, *, falling: bool) -> float:
    plain, chosen = curves
    mark = float(plain.reached[-1])
    own = plain.until(mark, plain.labels, falling=falling)
    return 1 - chosen.until(mark, chosen.labels, falling=falling) / own


# The crowd


@dataclass(frozen=True)
class People:
    """Who judges, as `annotations.algorithms.crowd` has it: skill, side bias, calling ties."""

    parameters: Array  # (A, 3)

    @classmethod
    def drawn(cls, rng: np.random.Generator, people: int = 12) -> People:
        """Return people of whom one in six knows nothing and answers all the same."""
        parameters = rng.normal([2.0, 0.0, -1.0], [0.6, 0.4, 0.4], (people, 3))
        parameters[: people // 6, 0] = 0
        return cls(parameters)

    def judge(self, ahead: Array, rng: np.random.Generator) -> Numbers:
        """Return what somebody or other says of each pair, by how far its first is ahead."""
        person = self.parameters[rng.integers(len(self.parameters), size=len(ahead))]
        side = rng.choice([-1.0, 1.0], len(ahead))
        half = (person[:, 0] * ahead + person[:, 1] * side) / 2
        logs = np.zeros((len(ahead), 3))
        logs[:, FIRST], logs[:, SECOND], logs[:, TIE] = half, -half, person[:, 2]
        drawn: Numbers = np.argmax(logs + rng.gumbel(size=logs.shape), axis=1)
        return drawn


# A reward model


def topical(rng: np.random.Generator) -> Callable[[int], Array]:
    """Return what draws pairs: of 16 topics, each half as often as the one before the one before.

    Four directions matter everywhere, two in each topic alone.
    """
    topics, shared, own = 16, 4, 2
    often = 1 / np.arange(1, topics + 1)

    def draw(pairs: int) -> Array:
        of = rng.choice(topics, pairs, p=often / often.sum())
        x = np.zeros((pairs, shared + own * topics))
        x[:, :shared] = rng.normal(size=(pairs, shared))
        for place in range(own):
            x[np.arange(pairs), shared + own * of + place] = rng.normal(size=pairs)
        x *= rng.lognormal(0, 0.5, pairs)[:, None]  # some two texts differ much, others little
        return x

    return draw


def alike(rng: np.random.Generator) -> Callable[[int], Array]:
    """Return what draws pairs that differ by as much in every direction."""
    return lambda pairs: rng.normal(size=(pairs, 16))


def reward_curves(
    world: Callable[[np.random.Generator], Callable[[int], Array]],
    seed: int,
    *,
    labels: int = LABELS,
    pool: int = POOL,
) -> Curves:
    """Return how the accuracy on held-out pairs grows, at random and chosen."""
    rng = np.random.default_rng(seed)
    draw = world(rng)
    x, held_out = draw(pool), draw(HELD_OUT)
    truth = rng.normal(size=x.shape[1])
    truth /= np.sqrt(((x @ truth) ** 2).mean())
    words = rng.lognormal(4.5, 0.6, pool).astype(int)
    people, ahead = People.drawn(rng), x @ truth
    better = held_out @ truth > 0
    answers = people.judge(ahead, rng)  # of each pair the same one, whoever asks when
    typical = float((x**2).sum(axis=1).mean())

    def accuracy(asked: Numbers) -> float:
        head, _ = regression(x[asked], answers[asked], typical)
        return float(((held_out @ head > 0) == better).mean())

    def choose(asked: Numbers, window: Numbers) -> Numbers:
        head, covariance = regression(x[asked], answers[asked], typical)
        some = Questions(
            np.arange(len(window)),
            x[window],
            x[window] @ head,
            np.ones(len(window)),
            seconds[window],
            TIES,
        )
        return window[ask_order(some, covariance, most=ROUND).order]

    seconds = np.array([paid_seconds(int(one), 1.0) for one in words])
    return _both(seconds, choose, accuracy, labels, seed)


def regression(x: Array, answers: Numbers, typical: float) -> tuple[Array, Array]:
    """Return the head that decided answers give, and what is not known of it; Newton's steps."""
    sided = answers != TIE
    x, won = x[sided], (answers[sided] == FIRST).astype(float)
    head = np.zeros(x.shape[1])
    for _ in range(30):
        covariance = belief(x, x @ head, np.ones(len(x)), typical=typical)
        chance = 0.5 * (1 + np.tanh(x @ head / 2))
        step = covariance @ (x.T @ (won - chance) - typical / SPREAD**2 * head)
        head = head + step
        if np.abs(step).max() < 1e-6:
            break
    return head, belief(x, x @ head, np.ones(len(x)), typical=typical)


# A leaderboard


def board_curves(seed: int, *, labels: int = LABELS, pool: int = POOL) -> Curves:
    """Return how the intervals of twelve ratings get narrower, at random and chosen."""
    rng = np.random.default_rng(seed)
    models = 12
    strength = np.sort(rng.normal(0, 0.6, models))
    first = rng.integers(1, models, pool)
    second = np.where(rng.random(pool) < 0.8, first - 1, rng.integers(0, models, pool))
    second = np.where(second == first, first - 1, second)
    answers = People.drawn(rng).judge(strength[first] - strength[second], rng)
    seconds = np.array([paid_seconds(int(n), 1.0) for n in rng.lognormal(4.5, 0.6, pool)])

    def battles(asked: Numbers) -> Battles[int]:
        said = np.array(["left", "right", "tie"])[answers[asked]]
        rows = zip(first[asked].tolist(), second[asked].tolist(), said.tolist(), strict=True)
        return Battles.of(rows, models=range(models))

    def width(asked: Numbers) -> float:
        ends = fit(battles(asked)).intervals()
        return float((ends[:, 1] - ends[:, 0]).mean())

    def choose(asked: Numbers, window: Numbers) -> Numbers:
        fought = battles(asked)
        theta = fit(fought).parameters
        place = np.eye(models)
        x = place[first[window]] - place[second[window]]
        some = Questions(
            np.arange(len(window)), x, x @ theta, np.ones(len(window)), seconds[window]
        )
        covariance = np.linalg.inv(hessian(theta, fought.aggregated(), RIDGE))
        return window[ask_order(some, covariance, most=ROUND).order]

    return _both(seconds, choose, width, labels, seed)


# Both


def _both(
    seconds: Array,
    choose: Callable[[Numbers, Numbers], Numbers],
    reached: Callable[[Numbers], float],
    labels: int,
    seed: int,
) -> Curves:
    """Return the curves of labels at random, and of those chosen; the first round is the same."""
    found = []
    for is_chosen in (False, True):
        rng = np.random.default_rng([seed, 1])
        points = [
            (len(asked), float(seconds[asked].sum()), reached(asked))
            for asked in _rounds(len(seconds), choose if is_chosen else None, labels, rng)
        ]
        found.append(Curve(*np.array(points, dtype=float).T))
    return found[0], found[1]


def _rounds(
    pool: int,
    choose: Callable[[Numbers, Numbers], Numbers] | None,
    labels: int,
    rng: np.random.Generator,
) -> Iterator[Numbers]:
    """Yield what was asked after each round. A tenth of the items is kept for the random arm."""
    lots = rng.permutation(pool)
    asked = lots[:ROUND]
    yield asked
    rest = lots[ROUND:]
    while len(asked) < labels:
        if choose is None:
            picked = rest[:ROUND]
        else:
            kept = int(RANDOM_SHARE * WINDOW)
            window, aside = rest[kept : kept + WINDOW], rest[:kept]
            by_chance = rng.binomial(ROUND, RANDOM_SHARE)
            ordered = choose(asked, window)
            picked = np.concatenate([aside[:by_chance], ordered[: ROUND - by_chance]])
        asked = np.concatenate([asked, picked])
        rest = rest[~np.isin(rest, picked)]
        yield asked
