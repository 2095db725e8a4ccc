"""What is true of each item, when people with habits of their own labelled it.

Dawid and Skene (Applied Statistics 28, 1979): an item has one true label of K, drawn with the
chances `classes`; somebody who is shown an item of true label k says label l with the chance
confusion[person, k, l]. Both are found by expectation maximisation. Habits are learnt whole, so a
person who always takes one label for another still helps.

Of few labels the most likely habits are extreme. So each row of a confusion matrix begins with a
few labels that nobody gave (a Dirichlet prior), most of them right; with `prior=0` it is the
original, maximum likelihood. What is maximised, `trace`, falls at no step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.alike import alike

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

PRIOR = 3.0
"""Labels that each row of a confusion matrix begins with."""
PRIOR_RIGHT = 2 / 3
"""The share of them that is right; the others are spread evenly."""
MOST_STEPS = 500
GAIN = 1e-7
"""Nats a label. A step that gains no more is the last."""
SMALLEST = 1e-300


@dataclass(frozen=True)
class DawidSkene:
    """The truth as far as the labels tell it, and the habits of those who gave them."""

    posterior: Floats  # (U, K)
    classes: Floats  # (K,)
    confusion: Floats  # (A, K, K) by person, true label, label said
    trace: tuple[float, ...]
    """Log-likelihood and log-prior after each step, in nats."""

    def suspicion(self, unit: Numbers, label: Numbers) -> Floats:
        """Return the chance of each label, (N,), that it is not the true one of its unit."""
        chance: Floats = 1 - self.posterior[unit, label]
        return chance

    def right(self) -> Floats:
        """Return how often each person says what is true, (A,), on items as they come."""
        diagonal = np.diagonal(self.confusion, axis1=1, axis2=2)
        share: Floats = diagonal @ self.classes
        return share


def fit(
    unit: Numbers, person: Numbers, label: Numbers, categories: int, *, prior: float = PRIOR
) -> DawidSkene:
    """Return what N labels say; units, people and labels are numbered from 0 without gaps.

    Begins where each unit is what the share of its labels says. Raises ValueError without labels.

    >>> said = np.array([0, 0, 1, 1, 1, 0])
    >>> fit(np.repeat([0, 1], 3), np.tile([0, 1, 2], 2), said, 2).posterior.round()
    array([[1., 0.],
           [0., 1.]])
    """
    if not len(unit):
        raise ValueError("Nothing was labelled. Give at least one label.")
    people, labels = int(person.max()) + 1, len(unit)
    # Units of which the same people said the same are all alike.
    units = alike(unit, person * categories + label)
    unit, person, label = units.kind_of_row, person[units.rows], label[units.rows]
    said = np.bincount(unit * categories + label, minlength=len(units.times) * categories)
    posterior: Floats = said.reshape(-1, categories) / np.bincount(unit)[:, None]
    invented = _invented(categories, prior)
    trace: list[float] = []
    for _ in range(MOST_STEPS):
        weighted = posterior * units.times[:, None]
        classes = weighted.sum(axis=0) / units.times.sum()
        confusion = _confusion(weighted, unit, person, label, people, invented)
        logs = np.log(np.maximum(classes, SMALLEST)) + _summed(
            unit, len(units.times), confusion, person, label
        )
        top = logs.max(axis=1, keepdims=True)
        chances = np.exp(logs - top)
        total = chances.sum(axis=1, keepdims=True)
        posterior = chances / total
        value = float(units.times @ (top + np.log(total))[:, 0])
        trace.append(value + float((invented * np.log(np.maximum(confusion, SMALLEST))).sum()))
        if len(trace) > 1 and trace[-1] - trace[-2] <= GAIN * labels:
            break
    return DawidSkene(posterior[units.kind], classes, confusion, tuple(trace))


def majority(unit: Numbers, label: Numbers, categories: int) -> Numbers:
    """Return the most frequent label of each unit, (U,), or -1 where several are.

    >>> majority(np.array([0, 0, 0, 1, 1]), np.array([2, 2, 1, 0, 1]), 3)
    array([ 2, -1])
    """
    units = int(unit.max()) + 1 if len(unit) else 0
    counts = np.bincount(unit * categories + label, minlength=units * categories)
    counts = counts.reshape(units, categories)
    most = counts.max(axis=1, initial=0)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    found: Numbers = np.where(alone, counts.argmax(axis=1), -1)
    return found


def _invented(categories: int, prior: float) -> Floats:
    wrong = prior * (1 - PRIOR_RIGHT) / max(categories - 1, 1)
    invented: Floats = np.full((categories, categories), wrong)
    np.fill_diagonal(invented, prior * PRIOR_RIGHT)
    return invented


def _confusion(
    truth: Floats, unit: Numbers, person: Numbers, label: Numbers, people: int, invented: Floats
) -> Floats:
    """Return everybody's chances, (A, K, K), from how many of each unit are probably what."""
    categories = truth.shape[1]
    cell = person * categories + label
    counts = np.stack(
        [
            np.bincount(cell, truth[unit, true], minlength=people * categories)
            for true in range(categories)
        ],
        axis=1,
    )  # (A * K, K): by person and label said, then true label
    found = counts.reshape(people, categories, categories).transpose(0, 2, 1) + invented
    total = found.sum(axis=2, keepdims=True)
    # Who never met a true label may say anything about it.
    evenly = np.full_like(found, 1 / categories)
    return np.divide(found, total, out=evenly, where=total > 0)


def _summed(
    unit: Numbers, units: int, confusion: Floats, person: Numbers, label: Numbers
) -> Floats:
    logs = np.log(np.maximum(confusion[person, :, label], SMALLEST))  # (N, K)
    return np.column_stack([np.bincount(unit, column, minlength=units) for column in logs.T])
