from __future__ import annotations

import numpy as np
import pytest

from annotations.algorithms.dawid_skene import fit, majority

ANAESTHESIA = (
    "1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 "
    "2223343 1111111 2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 "
    "2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121 1111111 3333233 1111111 "
    "2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 "
    "2222222"
)
"""Table 1 of Dawid and Skene (1979): how fit 45 patients are, by five anaesthetists, the first of
whom saw each form three times."""
WHO = np.array([0, 0, 0, 1, 2, 3, 4])


def anaesthesia() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    said = np.array([[int(label) - 1 for label in patient] for patient in ANAESTHESIA.split()])
    unit = np.repeat(np.arange(len(said)), 7)
    return unit, np.tile(WHO, len(said)), said.ravel()


def test_it_gives_the_published_anaesthetists():
    found = fit(*anaesthesia(), 4, prior=0)
    assert found.classes == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=5e-3)
    # Table 2 of the paper, the first of them: .89 of those of class 1, .11 called 2.
    assert found.confusion[0, 0] == pytest.approx([0.89, 0.11, 0, 0], abs=5e-3)


@pytest.mark.parametrize("prior", [0.0, 3.0])
def test_no_step_makes_it_less_likely(prior):
    trace = np.array(fit(*anaesthesia(), 4, prior=prior).trace)
    assert len(trace) > 3
    assert (np.diff(trace) > -1e-9).all()


def test_every_row_is_a_chance():
    found = fit(*anaesthesia(), 4)
    assert found.posterior.sum(axis=1) == pytest.approx(1)
    assert found.confusion.sum(axis=2) == pytest.approx(1)


def test_it_beats_the_majority_where_some_say_anything():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    skill = np.array([0.9] * 4 + [0.34] * 6)
    unit = np.repeat(np.arange(300), 5)
    person = np.concatenate([rng.permutation(10)[:5] for _ in range(300)])
    right = rng.random(len(unit)) < skill[person]
    label = np.where(right, truth[unit], rng.integers(0, 3, len(unit)))
    found = fit(unit, person, label, 3)
    ours = (found.posterior.argmax(axis=1) == truth).mean()
    assert ours > (majority(unit, label, 3) == truth).mean() + 0.05
    assert found.right()[:4].min() > found.right()[4:].max()


def test_one_person_alone_is_believed_and_nothing_is_certain():
    found = fit(np.array([0, 1]), np.array([0, 0]), np.array([0, 1]), 2)
    assert found.posterior.argmax(axis=1).tolist() == [0, 1]
    assert np.isfinite(found.posterior).all()
    assert found.suspicion(np.array([0]), np.array([1]))[0] > 0.5


def test_it_wants_a_label():
    with pytest.raises(ValueError, match="at least one label"):
        fit(*np.zeros((3, 0), dtype=np.int64), 2)
