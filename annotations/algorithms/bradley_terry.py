"""Ratings of models from battles: Bradley-Terry, with intervals that ask little of the data.

The chance that the left model wins is sigma(z), z = theta_left - theta_right + style @ beta, on the
natural logarithmic scale (Bradley and Terry, Biometrika 39, 1952). A tie is half a win and half a
loss. Maximised is the likelihood with a ridge, `ridge / 2 * |(theta, beta)|^2`: a Gaussian prior
that keeps a model that won every battle finite and holds together models that never met, and that
fades as battles come in. It also centres the thetas, so ratings are 1000 on average:
rating = 1000 + 400 / ln 10 * theta, and 400 points more are odds of ten to one, as in Elo.

Intervals are from the sandwich H^-1 (G + ridge I) H^-1 (Huber 1967; White, Econometrica 50, 1982):
H is the Hessian and G the summed outer products of the battles' scores, so ties, which vary less
than the model believes, and votes that hang together (one score a cluster) are counted as they are.
The ridge inside is the prior's own score. Without it models of which nothing is known would be
certain to be average. Intervals are of the distance from the average of the board: how good all
models are together no battle can say.

Few battles say little about their own spread, and five wins in a row say that there is none. So the
variance lies between the sandwich and the model's own, H^-1, which gets as much weight as the prior
has in what is known of a model: ridge / H_ii, about 2 / (battles + 2). Morel, Bokossa and Neerchal
(Biometrical Journal 45, 2003) add a share of the model's variance for the same reason. Both vanish
beside more battles, and with the ridge: near 0 it is the plain sandwich, as arena-rank has it.

Style control adds the difference in style as covariates beside the models (Li, Angelopoulos and
Chiang, "Does style matter?", LMSYS 2024). Each is divided by its root mean square and not centred:
exchanging left and right changes its sign and nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import log
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.battles import Battles
from annotations.algorithms.winrate import Z_95

M = TypeVar("M", bound=Hashable)
Array = NDArray[np.float64]

POINTS = 400 / log(10)
"""Points of rating to one unit of theta."""

MEAN_RATING = 1000.0

RIDGE = 0.5
"""As much as a win and a loss of every model against an average one would say."""

ROUNDS = 100
"""Resamples of the bootstrap: as FastChat does."""

MOST_STEPS = 100
DECREMENT = 1e-10
"""Newton's decrement, in nats: twice the loss above its minimum. Below this one step is left."""


@dataclass(frozen=True)
class Standing(Generic[M]):
    """A line of the board: the rating in points, its 95 % interval, and the rank that it gives."""

    model: M
    rating: float
    low: float
    high: float
    rank: int
    battles: float


@dataclass(frozen=True)
class StyleEffect:
    """Points of rating that an answer gains by one root mean square more of a style; with 95 %."""

    points: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit(Generic[M]):
    """What battles say about M models and K covariates of style, P = M + K parameters."""

    battles: Battles[M]  # aggregated, style standardised
    ridge: float
    parameters: Array  # (P,) theta, then beta
    errors: Array  # (P,) standard errors of the thetas' distances from their mean, and of beta

    def ratings(self, anchor: tuple[M, float] | None = None) -> Array:
        """Return the models' ratings in points, (M,): 1000 on average, or the anchor's as given.

        Raises ValueError where the anchor is not on the board.
        """
        theta = self.parameters[: len(self.battles.models)]
        return _rated(theta, self.battles.models, anchor)

    def intervals(self, anchor: tuple[M, float] | None = None) -> Array:
        """Return the lower and upper ends of the ratings' 95 % intervals, (M, 2).

        An anchor moves all of them; its own keeps its width.
        """
        reach = Z_95 * POINTS * self.errors[: len(self.battles.models)]
        return self.ratings(anchor)[:, None] + reach[:, None] * np.array([-1.0, 1.0])

    def standings(self, anchor: tuple[M, float] | None = None) -> list[Standing[M]]:
        """Return the board, best first; models that are rated the same stay in their order."""
        ratings, intervals = self.ratings(anchor), self.intervals(anchor)
        fought, placed = self.battles.fought(), ranks(intervals)
        return [
            Standing(
                model=self.battles.models[i],
                rating=float(ratings[i]),
                low=float(intervals[i, 0]),
                high=float(intervals[i, 1]),
                rank=int(placed[i]),
                battles=float(fought[i]),
            )
            for i in np.argsort(-ratings, kind="stable")
        ]

    def win_rates_against(self, model: M) -> Array:
        """Return each model's chance to win against one of them, and its 95 % interval, (M, 3).

        Against itself it is one half. Raises ValueError where the model is not on the board.
        """
        models = self.battles.models
        if model not in models:
            raise ValueError(f"{model!r} is not on the board. Choose a model that is.")
        place = models.index(model)
        contrasts = np.eye(len(models), len(self.parameters))
        contrasts[:, place] -= 1
        errors = _errors_of(contrasts, self.parameters, self.battles, self.ridge)
        ahead = contrasts @ self.parameters
        return _sigmoid(ahead[:, None] + Z_95 * errors[:, None] * np.array([0.0, -1.0, 1.0]))

    def style_effects(self) -> list[StyleEffect]:
        """Return what each covariate of style is worth; nothing without style control."""
        models = len(self.battles.models)
        points = POINTS * self.parameters[models:]
        reach = Z_95 * POINTS * self.errors[models:]
        return [
            StyleEffect(float(p), float(p - r), float(p + r))
            for p, r in zip(points, reach, strict=True)
        ]


def fit(battles: Battles[M], *, ridge: float = RIDGE) -> Fit[M]:
    """Return ratings of all models on the board, with the errors that intervals come from.

    Without a battle everybody is average and nothing is known. With `ridge` near 0 the estimate is
    the one of maximum likelihood, where there is one. Raises ValueError for a ridge that is not
    above 0: a model that won every battle would have no finite rating.

    >>> board = fit(Battles.of([("a", "b", "left")] * 5)).standings()
    >>> [(line.model, round(line.rating, 1)) for line in board]
    [('a', 1184.8), ('b', 815.2)]
    """
    if not 0 < ridge < np.inf:
        raise ValueError(f"Give a ridge above 0, for example {RIDGE}; {ridge} leaves ratings open.")
    prepared = _standardised(battles.aggregated())
    parameters = _minimum(_likely(prepared), ridge, start=np.zeros(_size(prepared)))
    return Fit(prepared, ridge, parameters, _errors(parameters, prepared, ridge))


def bootstrap_intervals(
    fitted: Fit[M],
    *,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
    anchor: tuple[M, float] | None = None,
) -> Array:
    """Return 95 % intervals of the ratings from battles drawn again with replacement, (M, 2).

    Whole clusters are drawn where battles have them. For comparison with the sandwich: it takes
    `rounds` fits, and of a model without battles it knows only the prior's mean.
    """
    battles = fitted.battles
    counts = _drawn_counts(battles, rng, rounds)
    if battles.style.shape[1]:
        drawn = np.stack([minimum_of_drawn(fitted, count) for count in counts])
    else:
        drawn = minima_of_drawn(fitted, counts)
    drawn = drawn[:, : len(battles.models)]  # (R, M)
    ratings = np.stack([_rated(theta, battles.models, anchor) for theta in drawn])
    ends: Array = np.quantile(ratings, [0.025, 0.975], axis=0).T
    return ends


def ranks(intervals: Array) -> NDArray[np.intp]:
    """Return each model's rank, (M,): 1 and the number of models whose interval lies wholly above.

    >>> ranks(np.array([[990.0, 1010.0], [1020.0, 1040.0], [1000.0, 1030.0]]))
    array([2, 1, 1])
    """
    low, high = intervals[:, 0], intervals[:, 1]
    return 1 + (low[None, :] > high[:, None]).sum(axis=1)


def loss(parameters: Array, battles: Battles[M], ridge: float) -> float:
    """Return the negative log-likelihood of (P,) parameters with the ridge, in nats."""
    z = _logits(parameters, battles)
    nats = battles.count @ (np.logaddexp(0, z) - battles.score * z)
    return float(nats + ridge / 2 * parameters @ parameters)


def gradient(parameters: Array, battles: Battles[M], ridge: float) -> Array:
    """Return the gradient of `loss`, (P,): sum of (sigma(z) - score) x, and the ridge's part.

    x is +1 at the left model, -1 at the right one, and the style.
    """
    z = _logits(parameters, battles)
    residual = battles.count * (_sigmoid(z) - battles.score)
    return _sum_of_rows(battles, residual) + ridge * parameters


def hessian(parameters: Array, battles: Battles[M], ridge: float) -> Array:
    """Return the Hessian of `loss`, (P, P): sum of sigma(z) sigma(-z) x x', and the ridge."""
    p = _sigmoid(_logits(parameters, battles))
    information = _sum_of_products(battles, battles.count * p * (1 - p))
    return information + ridge * np.eye(len(parameters))


def _minimum(battles: Battles[M], ridge: float, *, start: Array) -> Array:
    """Return where `loss`, which is strictly convex, has its minimum: Newton with halved steps."""
    at, value = start, loss(start, battles, ridge)
    for _ in range(MOST_STEPS):
        slope = gradient(at, battles, ridge)
        step = np.linalg.solve(hessian(at, battles, ridge), slope)
        if slope @ step < DECREMENT:
            return at - step
        # Far out the curve is flatter than where the step starts, and a whole step goes too far.
        while (reached := loss(at - step, battles, ridge)) > value:
            step = step / 2
        at, value = at - step, reached
    raise RuntimeError("The ratings were not found. Fit them again with a larger ridge.")


def minimum_of_drawn(fitted: Fit[M], count: Array) -> Array:
    """Return the parameters, (P,), where each row of the battles happened so often, (N,)."""
    drawn = replace(fitted.battles, count=count, cluster=None)
    return _minimum(drawn.aggregated(), fitted.ridge, start=fitted.parameters)


def minima_of_drawn(fitted: Fit[M], counts: Iterable[Array]) -> Array:
    """Return what `minimum_of_drawn` gives for each of R draws, (R, P), all at once.

    Without style only the battles of each pair and how many were won matter, so that Newton's
    steps of all draws are a few operations on (R, M, M).
    """
    battles, ridge = fitted.battles, fitted.ridge
    size = len(battles.models)
    turned = battles.left > battles.right
    of_row = np.where(turned, battles.right, battles.left) * size
    numbers, pair = np.unique(
        of_row + np.maximum(battles.left, battles.right), return_inverse=True
    )  # (Q,), (N,)
    score = np.where(turned, 1 - battles.score, battles.score)
    tallies = np.array(
        [
            [np.bincount(pair, weight, len(numbers)) for weight in (count, count * score)]
            for count in counts
        ]
    )
    met, won = tallies.transpose(1, 0, 2)  # (R, Q) each
    first, second = numbers // max(size, 1), numbers % max(size, 1)
    sides = np.zeros((len(numbers), size))  # (Q, M): +1 at the first, -1 at the second
    sides[np.arange(len(numbers)), first] = 1
    sides[np.arange(len(numbers)), second] = -1

    def losses(at: Array) -> Array:
        z = at @ sides.T
        nats: Array = (met * np.logaddexp(0, z) - won * z).sum(1) + ridge / 2 * (at**2).sum(1)
        return nats

    at = np.tile(fitted.parameters, (len(met), 1))  # (R, M)
    value = losses(at)
    for _ in range(MOST_STEPS):
        p = _sigmoid(at @ sides.T)
        slope = (met * p - won) @ sides + ridge * at
        curve = np.zeros((len(met), size, size))
        curve[:, first, second] = curve[:, second, first] = -met * p * (1 - p)
        curve[:, np.arange(size), np.arange(size)] = ridge - curve.sum(axis=2)
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        is_far = (slope * step).sum(axis=1) >= DECREMENT
        if not is_far.any():
            return at - step
        while (too_far := is_far & ((reached := losses(at - step)) > value)).any():
            step[too_far] /= 2
        at, value = at - step, reached
    raise RuntimeError("The ratings were not found. Fit them again with a larger ridge.")


def _errors(parameters: Array, battles: Battles[M], ridge: float) -> Array:
    models = len(battles.models)
    # What the average of the thetas varies by is no part of how far a model is from it.
    centring = np.eye(len(parameters))
    centring[:models, :models] -= 1 / max(models, 1)
    of_prior = ridge / np.diag(hessian(parameters, _likely(battles), ridge))  # (P,)
    return _errors_of(centring, parameters, battles, ridge, of_prior=of_prior)


def _errors_of(
    contrasts: Array,
    parameters: Array,
    battles: Battles[M],
    ridge: float,
    *,
    of_prior: Array | None = None,
) -> Array:
    """Return the standard errors of (Q, P) contrasts of the parameters, (Q,).

    `of_prior` is how much of what is known of each is the prior's.
    """
    bread = hessian(parameters, _likely(battles), ridge)
    if of_prior is None:
        known = np.einsum("ij,jk,ik->i", contrasts, bread, contrasts, optimize=True)
        lengths = ridge * (contrasts**2).sum(axis=1)
        of_prior = np.divide(lengths, known, out=np.zeros(len(known)), where=known > 0)
    scores = _sum_of_score_products(parameters, battles) + ridge * np.eye(len(parameters))
    inverse = contrasts @ np.linalg.inv(bread)
    sandwich = np.einsum("ij,jk,ik->i", inverse, scores, inverse, optimize=True)
    believed = np.einsum("ij,ij->i", inverse, contrasts)
    variance = (1 - of_prior) * sandwich + of_prior * believed
    return np.sqrt(np.maximum(variance, 0))  # of a single model it is 0, but for rounding


def _sum_of_score_products(parameters: Array, battles: Battles[M]) -> Array:
    """Return G, (P, P): the sum over battles, or over clusters of them, of score times score'."""
    residual = _sigmoid(_logits(parameters, battles)) - battles.score
    if battles.cluster is None:
        return _sum_of_products(battles, battles.count * residual**2)
    numbers, row = np.unique(battles.cluster, return_inverse=True)
    clusters = len(numbers)
    scores = _sum_of_rows_by(row, clusters, battles, battles.count * residual)  # (C, P)
    # The scores sum to nearly nothing, which leaves one cluster less than there are free to vary.
    return scores.T @ scores * clusters / max(clusters - 1, 1)


def _drawn_counts(battles: Battles[M], rng: np.random.Generator, rounds: int) -> Iterator[Array]:
    """Yield how often each row of the battles, (N,), is drawn; where there are clusters, whole."""
    if not len(battles.count):
        yield from np.zeros((rounds, 0))
        return
    if battles.cluster is None:
        total = battles.count.sum()
        shares = battles.count / total
        yield from rng.multinomial(int(total), shares, size=rounds).astype(float)
        return
    numbers, row = np.unique(battles.cluster, return_inverse=True)
    clusters = len(numbers)
    for _ in range(rounds):
        times = np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
        yield battles.count * times[row]


def _likely(battles: Battles[M]) -> Battles[M]:
    """Return the battles as the likelihood sees them: clusters change the errors alone."""
    return replace(battles, cluster=None).aggregated()


def _standardised(battles: Battles[M]) -> Battles[M]:
    total = max(battles.count.sum(), 1)
    scale = np.sqrt(battles.count @ battles.style**2 / total)  # (K,)
    return replace(battles, style=battles.style / np.where(scale > 0, scale, 1))


def _rated(theta: Array, models: tuple[M, ...], anchor: tuple[M, float] | None) -> Array:
    ratings = MEAN_RATING + POINTS * theta
    if anchor is None:
        return ratings
    model, rating = anchor
    if model not in models:
        raise ValueError(f"{model!r} is not on the board. Anchor a model that is.")
    return ratings + rating - ratings[models.index(model)]


def _size(battles: Battles[M]) -> int:
    return len(battles.models) + battles.style.shape[1]


def _logits(parameters: Array, battles: Battles[M]) -> Array:
    theta, beta = np.split(parameters, [len(battles.models)])
    return theta[battles.left] - theta[battles.right] + battles.style @ beta  # (N,)


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))  # overflows nowhere


def _sum_of_rows(battles: Battles[M], weight: Array) -> Array:
    """Return the sum of weight times x over battles, (P,)."""
    models = len(battles.models)
    ahead = np.bincount(battles.left, weight, minlength=models)
    behind = np.bincount(battles.right, weight, minlength=models)
    return np.concatenate([ahead - behind, weight @ battles.style])


def _sum_of_products(battles: Battles[M], weight: Array) -> Array:
    """Return the sum of weight times x x' over battles, (P, P)."""
    models = len(battles.models)
    between = battles.sum_by_pair(weight)  # (M, M)
    between = between + between.T
    of_models = np.diag(between.sum(axis=1)) - between
    covariates = battles.style.shape[1]
    mixed = np.zeros((covariates, models))
    for k in range(covariates):
        mixed[k] = _sum_of_rows(battles, weight * battles.style[:, k])[:models]
    of_style = battles.style.T @ (weight[:, None] * battles.style)
    return np.block([[of_models, mixed.T], [mixed, of_style]])


def _sum_of_rows_by(row: NDArray[np.intp], rows: int, battles: Battles[M], weight: Array) -> Array:
    """Return the sums of weight times x over the battles of each row, (rows, P)."""
    models = len(battles.models)
    ahead = np.bincount(row * models + battles.left, weight, minlength=rows * models)
    behind = np.bincount(row * models + battles.right, weight, minlength=rows * models)
    of_style = [np.bincount(row, weight * column, minlength=rows) for column in battles.style.T]
    return np.column_stack([(ahead - behind).reshape(rows, models), *of_style])
