"""Which of two completions is better, by votes of people who differ in skill and have habits.

The model, for a vote of person a on a pair of completions:

- The first completion is ahead of the second by u, u ~ N(0, 1) over the pairs. u is the difference
  of the two merits of Bradley and Terry (Biometrika 39, 1952).
- With z = s_a u + d b_a the vote is for the first, for the second or a tie with chances that are
  as e^(z/2) : e^(-z/2) : e^(t_a), which is Davidson's model of ties (JASA 65, 1970). d is 1 where
  the first completion stood on the left, -1 where on the right, 0 where there were no sides.
- s_a is the person's *skill*: 0 says nothing, and below 0 somebody prefers what is worse, as in
  CrowdBT (Chen and others, WSDM 2013), whose mixture it replaces by a slope: what is nearly equal
  is then harder for everybody (Whitehill and others, NIPS 2009). b_a is their *side bias*, t_a how
  readily they call a tie.
- s_a ~ N(2, 1.5²), b_a ~ N(0, 1), t_a ~ N(-1, 1.5²). A skill of 2 is right on 3 of 4 pairs, so that
  two such people agree on about 2 of 3: near the 0.63 to 0.77 that are reported of labellers.

Skills, biases and ties have the highest posterior density; u is summed out on a grid, because one
number for each pair from three votes would make everybody look surer than they are (Neyman and
Scott, Econometrica 16, 1948). That is expectation maximisation: what a pair probably is, then a
Newton step for each person, whose part is a concave multinomial logit. The priors keep everything
finite where one side always won, and where all votes are ties. Cycles do no harm: a pair knows
nothing of others. Pairs of one ranking hang together, so they get a weight of 2 / K each.

Intervals are from the outer products of the votes' scores, which know that u is not known, and the
priors (Berndt and others, 1974).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.winrate import Z_95

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

FIRST, SECOND, TIE = range(3)

GRID: Floats = np.linspace(-3.2, 3.2, 16)
"""Where u is looked at: evenly, and never at 0."""
PRIOR_OF_U: Floats = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()
MEANS: Floats = np.array([2.0, 0.0, -1.0])
"""Of skill, side bias and readiness to call a tie."""
PRECISIONS: Floats = 1 / np.array([1.5, 1.0, 1.5]) ** 2
FAR_APART = 1.0
"""Who ties two completions that are further apart than this was probably wrong: a third of all."""

FEATURES: Floats = np.zeros((2, len(GRID), 3, 3))
"""By sides or none, place on the grid, choice, parameter: what the parameter adds to the choice."""
FEATURES[:, :, FIRST, 0], FEATURES[:, :, SECOND, 0] = GRID / 2, -GRID / 2
FEATURES[1, :, FIRST, 1], FEATURES[1, :, SECOND, 1] = 0.5, -0.5
FEATURES[:, :, TIE, 2] = 1

MOST_STEPS = 200
GAIN = 1e-7
"""Nats a vote. A step that gains no more is the last."""
WAYS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Votes:
    """N votes on P pairs by A people; pairs and people are numbered from 0 without gaps."""

    pair: Numbers  # (N,)
    person: Numbers  # (N,)
    choice: Numbers  # (N,) of FIRST, SECOND, TIE
    side: Numbers  # (N,) 1 where the first stood on the left, -1 where on the right, 0 for neither
    weight: Floats  # (P,) of each pair in what is learnt of people


@dataclass(frozen=True)
class Person:
    """What the votes of one person say about them."""

    votes: int
    skill: float
    right: float
    """How often they choose the better one of two, sides aside, of what they decide."""
    right_low: float
    right_high: float
    left: float
    """How often they choose the left one of two that are equally good, of what they decide."""
    left_low: float
    left_high: float
    tie: float
    """How often they call two a tie that are equally good."""


@dataclass(frozen=True)
class Crowd:
    """What votes come to."""

    parameters: Floats  # (A, 3) skill, side bias, readiness to call a tie
    errors: Floats  # (A, 3)
    posterior: Floats  # (P, G) where on the grid each pair is
    votes: Votes
    trace: tuple[float, ...]
    """Log posterior density after each step, in nats."""

    def better(self) -> Floats:
        """Return the chance of each pair's first completion to be the better one, (P,)."""
        chance: Floats = self.posterior[:, GRID > 0].sum(axis=1)
        return chance

    def target(self) -> Floats:
        """Return how often typical people without a side would choose the first one, (P,).

        Of what they decide. Typical is the median of the skills over the votes.
        """
        order = np.argsort(self.parameters[self.votes.person, 0])
        skills = self.parameters[self.votes.person[order], 0]
        typical = max(float(skills[len(skills) // 2]), 0.0) if len(skills) else MEANS[0]
        share: Floats = self.posterior @ _sigmoid(typical * GRID)
        return share

    def information(self) -> Floats:
        """Return which share of what is not known of a pair its votes have told, (P,), 0 to 1."""
        before = PRIOR_OF_U @ GRID**2
        mean = self.posterior @ GRID
        left = self.posterior @ GRID**2 - mean**2
        told: Floats = np.clip(1 - left / before, 0, 1)
        return told

    def suspicion(self) -> Floats:
        """Return the chance of each vote to be wrong, (N,): the other one is better.

        A tie is wrong where the two are further apart than FAR_APART.
        """
        better = self.better()[self.votes.pair]
        apart = self.posterior[:, np.abs(GRID) > FAR_APART].sum(axis=1)[self.votes.pair]
        choices = [self.votes.choice == FIRST, self.votes.choice == SECOND]
        return np.select(choices, [1 - better, better], apart)

    def people(self) -> list[Person]:
        """Return what is known of each person, (A,), with 95 % intervals."""
        votes = np.bincount(self.votes.person, minlength=len(self.parameters))
        reach = Z_95 * self.errors
        spread = np.stack([self.parameters - reach, self.parameters, self.parameters + reach])
        right = _right(spread[:, :, 0])
        left = _sigmoid(spread[:, :, 1])
        ties = np.exp(self.parameters[:, 2])
        tie = ties / (2 * np.cosh(self.parameters[:, 1] / 2) + ties)
        return [
            Person(
                int(votes[a]),
                float(self.parameters[a, 0]),
                *_middle_first(right[:, a]),
                *_middle_first(left[:, a]),
                float(tie[a]),
            )
            for a in range(len(votes))
        ]


def fit(votes: Votes) -> Crowd:
    """Return skills, habits and pairs. Without votes there is nobody and nothing.

    >>> none = np.zeros(3, dtype=np.int64)
    >>> said = Votes(none, np.arange(3), np.array([FIRST, FIRST, SECOND]), none + 1, np.ones(1))
    >>> bool(fit(said).better()[0] > 0.7)
    True
    """
    work = _Work.of(votes)
    parameters = np.tile(MEANS, (work.people, 1))
    trace: list[float] = []
    for _ in range(MOST_STEPS):
        counts, value = work.expect(parameters)
        trace.append(value + _prior(parameters))
        if len(trace) > 1 and trace[-1] - trace[-2] <= GAIN * len(votes.pair):
            break
        parameters = _improved(parameters, counts)
    posterior, errors = work.finish(parameters)
    return Crowd(parameters, errors, posterior, votes, tuple(trace))


@dataclass(frozen=True)
class _Work:
    """The different ways in which a pair was voted on, with how often each occurs.

    Many pairs have the same votes by the same people, and those look alike to everything here.
    """

    people: int
    row: Numbers  # (V,) person * 9 + side * 3 + choice, by way; sides are right, none, left
    start: Numbers  # (W,) where each way's votes begin
    weight: Floats  # (W,) the sum of the weights of its pairs
    squared: Floats  # (W,) the sum of their squares
    way: Numbers  # (P,) of each pair

    @classmethod
    def of(cls, votes: Votes) -> _Work:
        order = np.argsort(votes.pair, kind="stable")
        row = (votes.person * 9 + (votes.side + 1) * 3 + votes.choice)[order]
        sizes = np.bincount(votes.pair, minlength=len(votes.weight))
        people = int(votes.person.max()) + 1 if len(votes.person) else 0
        if not len(row):
            return cls(people, row, row, votes.weight, votes.weight, row)
        # The sum of random numbers, one for each row, tells ways apart, in whatever order they are.
        names = np.random.default_rng(0).integers(0, 2**63, 9 * people)
        start = np.cumsum(sizes) - sizes
        _, first, way = np.unique(
            np.add.reduceat(names[row], start), return_index=True, return_inverse=True
        )
        begins = np.cumsum(sizes[first]) - sizes[first]
        places = np.repeat(start[first] - begins, sizes[first]) + np.arange(sizes[first].sum())
        weight, squared = (
            np.bincount(way, power).astype(float) for power in (votes.weight, votes.weight**2)
        )
        return cls(people, row[places], begins, weight, squared, way)

    def chunks(self, parameters: Floats) -> Iterator[tuple[slice, slice, Floats, Floats]]:
        """Yield ways and their votes, their posterior, (w, G), and its log-normaliser, (w,)."""
        table = _logs_by_row(parameters)
        ends = [*self.start[1:], len(self.row)]
        for first in range(0, len(self.start), WAYS_AT_ONCE):
            last = min(first + WAYS_AT_ONCE, len(self.start))
            votes = slice(int(self.start[first]), int(ends[last - 1]))
            begins = self.start[first:last] - votes.start
            logs = np.add.reduceat(table[self.row[votes]], begins, axis=0) + np.log(PRIOR_OF_U)
            top = logs.max(axis=1, keepdims=True)
            chances = np.exp(logs - top)
            total = chances.sum(axis=1, keepdims=True)
            yield slice(first, last), votes, chances / total, (top + np.log(total))[:, 0]

    def expect(self, parameters: Floats) -> tuple[Floats, float]:
        """Return the expected votes, (A, 2, 3, G), and the log-likelihood.

        Votes with sides stand as if the first one had been on the left.
        """
        counts = np.zeros((self.people * 9, len(GRID)))
        value = 0.0
        for ways, votes, posterior, normaliser in self.chunks(parameters):
            value += float(self.weight[ways] @ normaliser)
            weighted = np.repeat(
                posterior * self.weight[ways, None], self._sizes(ways, votes), axis=0
            )
            for place in range(len(GRID)):
                counts[:, place] += np.bincount(
                    self.row[votes], weighted[:, place], minlength=len(counts)
                )
        by_side = counts.reshape(self.people, 3, 3, len(GRID))
        turned = by_side[:, 0, [SECOND, FIRST, TIE], ::-1]
        return np.stack([by_side[:, 1], by_side[:, 2] + turned], axis=1), value

    def finish(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Return the posteriors, (P, G), and the parameters' standard errors, (A, 3)."""
        table = _scores_by_row(parameters)
        posterior = np.zeros((len(self.start), len(GRID)))
        information = np.zeros((self.people, 3, 3)) + np.diag(PRECISIONS)
        for ways, votes, found, _ in self.chunks(parameters):
            posterior[ways] = found
            sizes = self._sizes(ways, votes)
            rows, squared = self.row[votes], np.repeat(self.squared[ways], sizes)
            scores = np.einsum("ng,ngk->nk", np.repeat(found, sizes, axis=0), table[rows])
            for i, j in np.ndindex(3, 3):
                information[:, i, j] += np.bincount(
                    rows // 9, squared * scores[:, i] * scores[:, j], minlength=self.people
                )
        variances = np.diagonal(np.linalg.inv(information), axis1=1, axis2=2)
        return posterior[self.way], np.sqrt(variances)

    def _sizes(self, ways: slice, votes: slice) -> Numbers:
        sizes: Numbers = np.diff(np.append(self.start[ways], votes.stop))
        return sizes


def _choices(parameters: Floats) -> Floats:
    """Return the log-chances of the choices, (A, 2, G, 3)."""
    energies = np.einsum("ak,sgck->asgc", parameters, FEATURES)
    top = energies.max(axis=3, keepdims=True)
    logs: Floats = energies - top - np.log(np.exp(energies - top).sum(axis=3, keepdims=True))
    return logs


def _logs_by_row(parameters: Floats) -> Floats:
    """Return the log-chances, (9 A, G), of person, side and choice as pairs see them."""
    unsided, sided = _choices(parameters).transpose(1, 0, 3, 2)  # (A, 3, G) each
    turned = sided[:, [SECOND, FIRST, TIE], ::-1]
    return np.stack([turned, unsided, sided], axis=1).reshape(-1, len(GRID))


def _scores_by_row(parameters: Floats) -> Floats:
    """Return the gradients of those log-chances by the person's parameters, (9 A, G, 3)."""
    chances = np.exp(_choices(parameters))
    expected = np.einsum("asgc,sgck->asgk", chances, FEATURES)
    scores = FEATURES[None] - expected[:, :, :, None, :]  # (A, 2, G, 3 choices, 3)
    unsided, sided = scores.transpose(1, 0, 3, 2, 4)  # (A, 3, G, 3) each
    turned = sided[:, [SECOND, FIRST, TIE], ::-1]
    return np.stack([turned, unsided, sided], axis=1).reshape(-1, len(GRID), 3)


def _improved(parameters: Floats, counts: Floats) -> Floats:
    """Return everybody's parameters after one Newton step, halved until it gains.

    The expected log-posterior of a person is concave, so a small enough step always gains.
    """
    chances = np.exp(_choices(parameters))
    total = counts.sum(axis=2)  # (A, 2, G)
    expected = np.einsum("asgc,sgck->asgk", chances, FEATURES)
    slope = np.einsum("ascg,sgck->ak", counts, FEATURES)
    slope -= np.einsum("asg,asgk->ak", total, expected) + PRECISIONS * (parameters - MEANS)
    bend = np.einsum("asg,asgc,sgcj,sgck->ajk", total, chances, FEATURES, FEATURES, optimize=True)
    bend -= np.einsum("asg,asgj,asgk->ajk", total, expected, expected)
    step = np.linalg.solve(bend + np.diag(PRECISIONS), slope[:, :, None])[:, :, 0]
    before = _expected_value(parameters, counts)
    for _ in range(30):
        worse = _expected_value(parameters + step, counts) < before
        if not worse.any():
            break
        step[worse] /= 2
    else:
        step[worse] = 0
    moved: Floats = parameters + step
    return moved


def _expected_value(parameters: Floats, counts: Floats) -> Floats:
    logs = _choices(parameters).transpose(0, 1, 3, 2)
    priors = (PRECISIONS * (parameters - MEANS) ** 2).sum(axis=1) / 2
    value: Floats = (counts * logs).sum(axis=(1, 2, 3)) - priors
    return value


def _prior(parameters: Floats) -> float:
    return -float((PRECISIONS * (parameters - MEANS) ** 2).sum()) / 2


def _right(skill: Floats) -> Floats:
    """Return how often the better one is chosen with each skill, over pairs as they come."""
    chance: Floats = _sigmoid(skill[..., None] * np.abs(GRID)) @ PRIOR_OF_U
    return chance


def _sigmoid(z: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(z / 2))


def _middle_first(spread: Floats) -> tuple[float, float, float]:
    return float(spread[1]), float(spread[0]), float(spread[2])
