"""Simulated crowds: who does not look is found within the bars, and honest people are let be."""

from __future__ import annotations

import numpy as np
import pytest

from annotations.algorithms.adversaries import (
    FLAG_RATE,
    PAIR_RATE,
    Signal,
    Wrong,
    clockwork,
    copiers,
    flags,
    gold_copiers,
    idle,
    length_lover,
    one_sided,
    picky,
    random_clicks,
    slow_mark,
    too_fast,
    untyped,
)

HONEST = 1000
ANSWERS = 40


def crowd_of_honest(rng: np.random.Generator) -> list[Signal]:
    """Return the signals of a thousand honest people: careful, of all speeds, partly unsure."""
    found: list[Signal] = []
    for person in range(HONEST):
        skill = rng.uniform(0.75, 0.95)
        sides = rng.choice([-1, 0, 1], ANSWERS, p=[0.45, 0.1, 0.45])
        seconds = rng.lognormal(rng.uniform(2.3, 3.5), rng.uniform(0.4, 0.8), ANSWERS)
        words = rng.integers(10, 60, ANSWERS)
        active = rng.lognormal(3.0, 0.6, ANSWERS)
        others = [20.0 * float(np.exp(0.6 * z)) for z in np.linspace(-2, 2, 41)]
        found += [
            one_sided(person, sides.tolist()),
            random_clicks(
                person, (rng.random(12) < skill).tolist(), int(rng.binomial(40, 0.75)), 40, 0.75
            ),
            too_fast(person, seconds.tolist(), words.tolist()),
            untyped(person, (rng.lognormal(4.5, 0.6, 20)).tolist(), [30] * 20),
            clockwork(person, seconds.tolist()),
            length_lover(person, (rng.random(ANSWERS) < 0.6).tolist(), 0.6),
            idle(person, active.tolist(), [slow_mark(others) or 0] * ANSWERS),
            picky(person, int(rng.binomial(ANSWERS, 0.05)), ANSWERS, 0.05),
        ]
    return found


@pytest.fixture(scope="module")
def honest() -> list[Signal]:
    return crowd_of_honest(np.random.default_rng(11))


def test_it_flags_at_most_one_honest_person_in_a_hundred(honest: list[Signal]) -> None:
    flagged = {one.people for one in flags(honest)}
    assert len(flagged) <= HONEST * FLAG_RATE


def test_rankings_that_are_partly_the_same_flag_hardly_anybody_honest() -> None:
    rng = np.random.default_rng(12)
    found = []
    for person in range(HONEST):
        # Of the six pairs of four texts, honest people order each as another one does 3 in 4 times.
        agreed = float((rng.binomial(6, 0.75, ANSWERS) / 6).sum())
        gold = (rng.random(12) < rng.uniform(0.7, 0.95)).tolist()
        found.append(random_clicks(person, gold, agreed, ANSWERS, 0.75))
    assert len(flags(found)) <= HONEST * FLAG_RATE
    blind = float((rng.binomial(6, 0.5, ANSWERS) / 6).sum())
    assert flags([*found, random_clicks(9999, [False] * 6, blind, ANSWERS, 0.75)])


def found_among(honest: list[Signal], signal: Signal) -> bool:
    """Say whether a signal stands out among fifty honest people."""
    few = [one for one in honest if one.people[0] < 50]
    return signal.people in {one.people for one in flags([*few, signal])}


@pytest.mark.parametrize("side", [1, -1])
def test_always_the_same_side_is_found_within_40_answers(honest: list[Signal], side: int) -> None:
    rng = np.random.default_rng(1)
    mostly = [side if rng.random() < 0.97 else -side for _ in range(40)]
    assert found_among(honest, one_sided(9999, mostly))


def test_random_clicks_are_found_within_12_gold_items(honest: list[Signal]) -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(100):
        # One of ten answers, blindly: four say left, four right, and others hardly agree.
        for looked_at in range(6, 13):
            gold = (rng.random(looked_at) < 0.4).tolist()
            shared = 5 * looked_at
            signal = random_clicks(9999, gold, int(rng.binomial(shared, 0.4)), shared, 0.75)
            if found_among(honest, signal):
                found += 1
                break
    assert found >= 95


def test_who_answers_before_reading_is_found_within_20(honest: list[Signal]) -> None:
    assert found_among(honest, too_fast(9999, [1.5] * 8 + [9.0] * 12, [30] * 20))
    assert not found_among(honest, too_fast(9999, [1.5] * 5 + [9.0] * 15, [30] * 20))
    assert found_among(honest, too_fast(9999, [5.0] * 20, [300] * 20))


def test_texts_that_nobody_types_so_fast_are_found_within_10(honest: list[Signal]) -> None:
    assert found_among(honest, untyped(9999, [20.0] * 7 + [90.0] * 3, [60] * 10))
    assert not found_among(honest, untyped(9999, [20.0] * 2 + [90.0] * 8, [60] * 10))
    assert not found_among(honest, untyped(9999, [20.0] * 9, [60] * 9))


def test_clockwork_is_found_and_an_even_hand_is_not(honest: list[Signal]) -> None:
    rng = np.random.default_rng(3)
    assert found_among(honest, clockwork(9999, (8 + 0.5 * rng.standard_normal(20)).tolist()))
    assert not found_among(honest, clockwork(9999, rng.lognormal(2.5, 0.35, 40).tolist()))


def test_love_of_length_idleness_and_pickiness_are_found(honest: list[Signal]) -> None:
    assert found_among(honest, length_lover(9999, [True] * 38 + [False] * 2, 0.6))
    assert found_among(honest, idle(9999, [300.0] * 18 + [5.0] * 2, [20.0] * 20))
    assert found_among(honest, picky(9999, 30, 40, 0.05))


def crowd(
    rng: np.random.Generator, people: int, items: int, each: int
) -> dict[int, dict[int, int]]:
    """Return votes for one of two: items differ in how clear they are, people in how good."""
    skill = rng.uniform(0.6, 1.0, people)
    votes: dict[int, dict[int, int]] = {}
    for item in range(items):
        clear = rng.uniform(0.5, 0.95)
        chosen = rng.choice(people, each, replace=False)
        right = rng.random(each) < 0.5 + (clear - 0.5) * skill[chosen]
        votes[item] = {int(one): int(ok) for one, ok in zip(chosen, right, strict=True)}
    return votes


def test_a_copier_is_found_at_60_common_items() -> None:
    found = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        votes = crowd(rng, 15, 240, 5)
        for item in range(60):
            votes[item][1000] = int(rng.random() < 0.75)
            votes[item][1001] = votes[item][1000]
        pairs = flags(copiers(votes), PAIR_RATE)
        found += (1000, 1001) in [one.people for one in pairs]
    assert found >= 9


def test_honest_pairs_are_hardly_ever_taken_for_copiers() -> None:
    alarms = sum(
        bool(flags(copiers(crowd(np.random.default_rng(seed), 12, 200, 5)), PAIR_RATE))
        for seed in range(20)
    )
    assert alarms <= 2


def test_to_join_in_a_rare_answer_to_one_question_is_not_held_against_another() -> None:
    """On a scale of seven few err alike; where only two answers exist, whoever errs does."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        votes = crowd(rng, 6, 150, 5)
        sorts = dict.fromkeys(votes, "two") | dict.fromkeys(range(1000, 1300), "seven")
        for item in range(1000, 1300):
            votes[item] = {who: int(rng.normal(4, 1.2)) for who in range(10, 15)}
        assert flags(copiers(votes, sorts), PAIR_RATE) == []
        assert flags(copiers(votes), PAIR_RATE)


def test_two_good_ones_beside_a_bad_third_are_no_copiers() -> None:
    votes = {item: {1: "x", 2: "x", 3: ("x", "y")[item % 2]} for item in range(100)}
    assert flags(copiers(votes), PAIR_RATE) == []


GOLD = 60
WRONG = {
    "careful": [0.8, 0.14, 0.04, 0.02],
    "random": [0.4, 0.4, 0.1, 0.1],
    "ties": [0.08, 0.02, 0.9, 0.0],
}
"""How often people are right, choose the wrong one, a tie and both bad."""


def gold_crowd(rng: np.random.Generator, *people: str) -> dict[int, dict[int, Wrong | None]]:
    """Return answers to gold items, of which a third are hard and half have a longer wrong text."""
    found: dict[int, dict[int, Wrong | None]] = {}
    for item in range(GOLD):
        slips, length = (3 if item % 3 else 1), ("longer", "not longer")[item % 2]
        kinds = None, Wrong(f"{item}", length), Wrong("tie", "tie"), Wrong("both_bad", "both_bad")
        found[item] = {}
        for person, habit in enumerate(people):
            chances = np.array(WRONG.get(habit, WRONG["careful"]))
            if habit == "longer":
                chances = np.array([0.05, 0.95, 0, 0] if length == "longer" else [0.95, 0.05, 0, 0])
            elif habit == "careful":
                chances = np.array([1 - (1 - chances[0]) / slips * 1.5, *chances[1:] / slips * 1.5])
            found[item][person] = kinds[rng.choice(4, p=chances / chances.sum())]
    return found


def test_two_who_share_mistakes_are_found_at_60_common_gold_items() -> None:
    found = 0
    for seed in range(10):
        said = gold_crowd(np.random.default_rng(seed), *["careful"] * 9)
        for item in said.values():
            item[9] = item[8]
        found += [one.people for one in flags(gold_copiers(said), PAIR_RATE)] == [(8, 9)]
    assert found >= 9


def test_two_with_one_bad_habit_and_items_that_nearly_all_fail_give_no_copiers() -> None:
    people = ["careful"] * 6 + ["random", "ties", "longer"] * 2
    alarms = 0
    for seed in range(10):
        said = gold_crowd(np.random.default_rng(seed), *people)
        for item in range(10):  # The known answer is wrong.
            said[item] = {who: Wrong(f"{item}", "longer") for who in said[item]}
        alarms += bool(flags(gold_copiers(said), PAIR_RATE))
    assert alarms <= 1


def test_a_crowd_of_one_all_ties_and_nothing_give_no_flag() -> None:
    alone = [
        one_sided(1, [0] * 50),
        one_sided(1, []),
        random_clicks(1, [], 0, 0, 0.0),
        too_fast(1, [], []),
        untyped(1, [], []),
        clockwork(1, []),
        length_lover(1, [], 0.0),
        idle(1, [], []),
        picky(1, 0, 0, 0.0),
    ]
    assert flags(alone) == []
    assert flags([]) == []
    assert copiers({1: {1: "tie"}, 2: {1: "tie", 2: "tie"}}) == []
    assert gold_copiers({1: {1: Wrong("tie", "tie"), 2: Wrong("tie", "tie")}}) == []
