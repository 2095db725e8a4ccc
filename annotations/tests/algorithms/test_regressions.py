"""What the checks of regression cases see, and what they refuse."""

from __future__ import annotations

import time
from typing import Any

import pytest

from annotations.algorithms.regressions import (
    RULES,
    Check,
    CheckError,
    Scores,
    fault_of,
    find,
    judge,
    objections,
    validate,
)

HAIKU = "An old silent pond\nA small green frog jumps in it\nRipples, then silence"
PROMPT = "Write a haiku about an old pond."
BAD = {
    "not_empty": "  \n",
    "no_repetition": "The pond\nThe pond",
    "on_topic": "First coffee, then words",
    "no_chatter": "Sure! Here is a haiku:\n\nOld pond",
    "lines": "Old pond",
    "syllables": "Old pond\nfrog\nsplash",
    "most_characters": "old pond " * 10,
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_sees_its_fault_and_lets_a_haiku_pass(rule: str) -> None:
    stated = {"lines": 3, "syllables": [5, 7, 5], "most_characters": 75}
    check = Check("rubric", {"rules": [rule], **stated})
    validate(check)
    assert fault_of(check, PROMPT, HAIKU) == ""
    assert fault_of(check, PROMPT, BAD[rule])


def test_it_says_which_of_several_rules_are_broken() -> None:
    check = Check("rubric", {"rules": ["lines", "no_repetition"], "lines": 3})
    fault = fault_of(check, PROMPT, "The pond\nThe pond")
    assert fault == "it has 2 lines, not 3; it repeats itself"


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("pattern", {"pattern": ""}, "is empty"),
        ("pattern", {"pattern": "("}, "cannot be read"),
        ("pattern", {"pattern": "a*"}, "forbid every answer"),
        ("pattern", {"pattern": "a" * 201}, "at most 200"),
        ("pattern", {"pattern": "((((a{100}){100}){100}){100})b"}, "100,000,000 times"),
        ("rubric", {"rules": []}, "at least one rule"),
        ("rubric", {"rules": ["rhymes"]}, "no rule called"),
        ("rubric", {"rules": ["lines"]}, "how many lines"),
        ("rubric", {"rules": ["most_characters"], "most_characters": 0}, "how many characters"),
        ("rubric", {"rules": ["syllables"], "syllables": []}, "how many syllables"),
        ("reward", {"margin": -1}, "from 0 to 100"),
        ("reward", {"margin": float("nan")}, "from 0 to 100"),
        ("feeling", {}, "no check called"),
    ],
)
def test_it_refuses_a_check_that_cannot_be_carried_out(
    kind: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(CheckError, match=words):
        validate(Check(kind, parameters))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "((a{1,50}){1,50})+$"])
def test_a_pattern_that_backtracks_without_end_is_stopped(pattern: str) -> None:
    begun = time.monotonic()
    with pytest.raises(CheckError, match="takes too long"):
        find(pattern, "a" * 5_000 + "!")
    assert time.monotonic() - begun < 5


def test_a_check_must_tell_the_reported_answer_from_its_rewrite() -> None:
    check = Check("pattern", {"pattern": "frogs? frogs?"})
    assert objections(check, PROMPT, reported="Frogs frogs", rewrite="a frog") == []
    assert "would not see" in objections(check, PROMPT, reported="a frog", rewrite=None)[0]
    assert (
        "rewrite fails" in objections(check, PROMPT, reported="frog frog", rewrite="frog frog")[0]
    )


def test_every_answer_must_pass() -> None:
    check = Check("pattern", {"pattern": "toad"})
    assert judge(check, PROMPT, ["a frog", "a newt"], reported="a toad").passed
    verdict = judge(check, PROMPT, ["a frog", "A TOAD!"], reported="a toad")
    assert not verdict.passed
    assert verdict.text == "1 of 2 answers fails: it has “TOAD”, which is forbidden."
    assert not judge(check, PROMPT, [], reported="a toad").passed


def test_the_reported_answer_never_passes_whatever_is_checked() -> None:
    check = Check("rubric", {"rules": ["not_empty"]})
    assert "reported answer again" in judge(check, PROMPT, ["a  frog\n"], reported="a frog").text


def test_the_reward_model_must_not_prefer_the_rewrite() -> None:
    check, texts = Check("reward", {"margin": 0.5}), ["one", "two"]
    near = Scores(answers=[1.6, 2.5], reported=-1.0, rewrite=2.0)
    assert judge(check, PROMPT, texts, reported="bad", scores=near).passed
    behind = Scores(answers=[1.4, 2.5], reported=-1.0, rewrite=2.0)
    verdict = judge(check, PROMPT, texts, reported="bad", scores=behind)
    assert verdict.text == "1 of 2 answers fails: the reward model prefers the rewrite by 0.60."


def test_a_reward_model_that_likes_the_fault_decides_nothing() -> None:
    check = Check("reward", {"margin": 0.0})
    fond = Scores(answers=[9.0], reported=2.0, rewrite=1.0)
    assert "cannot see the fault" in judge(check, PROMPT, ["x"], reported="y", scores=fond).text
    assert "No reward model" in judge(check, PROMPT, ["x"], reported="y").text
