"""What a round does next by itself, as a function of how things stand."""

from __future__ import annotations

from typing import Any

import pytest

from training.next_act import WITHOUT_SUITE, Act, Job, NeedsPerson, RoundState, Waiting, next_act

DONE, FAILED = Job("done", "run 1 (x)"), Job("failed", "Run 1 (x)", "Out of memory.")
UNDER_WAY = Job("waiting", "run 1 (x)")
SAMPLED: dict[str, Any] = {"sampling": DONE, "items": 50}
COMPARED = {**SAMPLED, "answered": 50, "comparisons_are_in": True}
LEARNT = {**COMPARED, "reward": DONE}
TRAINED = {**LEARNT, "training": DONE}
ASKED = {**TRAINED, "evaluation": DONE, "pairs": 90}
ANSWERED = {**ASKED, "suite": DONE}


def state(**changes: Any) -> RoundState:
    values = {"policy": "sft-1", "is_open": True, "driver": "Eve", **changes}
    return RoundState(**values)


@pytest.mark.parametrize(
    ("stage", "act"),
    [
        ({}, "ask"),
        (COMPARED, "reward"),
        (LEARNT, "policy"),
        ({**COMPARED, "needs_reward_model": False}, "policy"),
        (TRAINED, "evaluate"),
        ({**TRAINED, "evaluation": UNDER_WAY}, "measure"),
        ({**ASKED, "skipped": frozenset(["suite"])}, "promote"),
        ({**ANSWERED, "judged": 40}, "promote"),  # an open gate need not wait for the rest
        ({**ANSWERED, "votes_are_in": True, "refusal": "No better."}, "keep_back"),
    ],
)
def test_each_stage_follows_the_one_before(stage: dict[str, Any], act: str) -> None:
    assert next_act(state(**stage)) == Act(act)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"sampling": UNDER_WAY}, "run 1"),
        ({**SAMPLED, "answered": 12, "new_comparisons": 20}, "12 of 50"),
        ({**COMPARED, "reward": UNDER_WAY}, "run 1"),
        ({**LEARNT, "training": UNDER_WAY}, "run 1"),
        ({**ANSWERED, "evaluation": UNDER_WAY}, "run 1"),
        ({**ASKED, "suite": UNDER_WAY}, "run 1"),  # though the gate is open
        ({**ASKED, "suite": UNDER_WAY, "refusal": "Too early."}, "0 of 90 blind"),
        ({**ASKED, "suite": UNDER_WAY, "refusal": "No better.", "votes_are_in": True}, "run 1"),
        ({**ANSWERED, "judged": 3, "refusal": "Too early."}, "3 of 90 blind"),
        ({"driver": ""}, "by hand"),
        ({"is_open": False}, "none opens by itself"),
    ],
)
def test_it_says_what_it_waits_for(stage: dict[str, Any], words: str) -> None:
    found = next_act(state(**stage))
    assert isinstance(found, Waiting)
    assert words in found.reason


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"policy": "", "is_automatic": True}, "Nothing is promoted"),
        ({"sampling": FAILED}, "Out of memory"),
        ({**SAMPLED, "items": 0}, "nothing to compare"),
        ({**COMPARED, "reward": FAILED}, "Out of memory"),
        ({**LEARNT, "training": FAILED}, "Out of memory"),
        ({**ANSWERED, "evaluation": FAILED}, "Out of memory"),
        ({**ASKED, "suite": FAILED, "refusal": "Too early."}, "Out of memory"),
        ({**TRAINED, "evaluation": DONE, "halted": "measure", "halted_because": "No."}, "No."),
        ({**ANSWERED, "promotes": False}, "gate is open"),
        (
            {**ANSWERED, "votes_are_in": True, "refusal": "No better.", "promotes": False},
            "No better",
        ),
        (
            {**ANSWERED, "votes_are_in": True, "refusal": "Ask others.", "may_still_open": True},
            "Ask others",
        ),
        ({"driver_may": False}, "no longer trains"),
        ({"halted": "ask", "halted_because": "No prompts."}, "No prompts"),
        ({"is_open": False, "is_automatic": True, "kept_back": 2}, "last 2 rounds"),
        ({"is_open": False, "is_automatic": True, "driver_may": False}, "no longer trains"),
    ],
)
def test_it_stops_where_a_person_must_decide(stage: dict[str, Any], words: str) -> None:
    found = next_act(state(**stage))
    assert isinstance(found, NeedsPerson)
    assert words in found.reason


def test_a_round_trains_once_enough_new_judgements_are_in() -> None:
    waits = {**SAMPLED, "answered": 12, "wanted_comparisons": 30}
    assert isinstance(next_act(state(**waits, new_comparisons=29)), Waiting)
    assert next_act(state(**waits, new_comparisons=30)) == Act("reward")
    # Judgements from elsewhere alone say nothing of what this round's policy writes.
    assert isinstance(next_act(state(**{**waits, "answered": 0}, new_comparisons=90)), Waiting)


def test_what_is_skipped_is_not_waited_for() -> None:
    waits = {**SAMPLED, "answered": 12}
    found = next_act(state(**waits))
    assert isinstance(found, Waiting)
    assert found.skip
    assert next_act(state(**waits, skipped=frozenset(["comparisons"]))) == Act("reward")
    failed = {**COMPARED, "reward": FAILED, "older_reward_model": "reward-3"}
    found = next_act(state(**failed))
    assert isinstance(found, NeedsPerson)
    assert (found.can_retry, found.skip) == (True, "Go on with reward-3")
    assert next_act(state(**failed, skipped=frozenset(["reward"]))) == Act("policy")
    for unmeasured in ({"suite": FAILED}, {"halted": "measure"}):
        found = next_act(state(**ASKED, **unmeasured))
        assert isinstance(found, NeedsPerson)
        assert (found.can_retry, found.skips, found.skip) == (True, "suite", WITHOUT_SUITE)


def test_a_refused_act_holds_up_that_act_alone() -> None:
    refused = {"halted": "ask", "halted_because": "No prompts."}
    assert next_act(state(**COMPARED, **refused)) == Act("reward")


def test_rounds_open_by_themselves_where_that_is_switched_on() -> None:
    assert next_act(state(is_open=False, is_automatic=True)) == Act("open")
