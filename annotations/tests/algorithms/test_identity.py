"""Questions about who answers, and answers that tell."""

from __future__ import annotations

import pytest

from annotations.algorithms.identity import asks_who, names_model


@pytest.mark.parametrize(
    "text",
    [
        "Who are you?",
        "hi! what are you",
        "Which model are you?",
        "what ai model is this",
        "Who trained you, and when?",
        "What's your name?",
        "Are you ChatGPT?",
        "Are you an LLM? Tell me who you are",
    ],
)
def test_it_finds_who_asks(text: str) -> None:
    assert asks_who(text)


@pytest.mark.parametrize(
    "text",
    [
        "What are you doing, little frog?",
        "Write a haiku about who you love.",
        "Which model of train is the fastest?",
        "Who made the Mona Lisa?",
        "",
    ],
)
def test_it_lets_others_ask(text: str) -> None:
    assert not asks_who(text)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm Claude.",
        "As an AI made by Alibaba Cloud, I can't.",
        "I am Qwen2.5, at your service.",
        "My name is Llama",
        "I was trained by OpenAI.",
        "GPT-4 says hello",
        "Gemini 1.5 thinks so",
        "I am base, the first.",
        "yours, SFT-12",
    ],
)
def test_it_finds_answers_that_tell(answer: str) -> None:
    assert names_model(answer, ["base", "sft-12"])


@pytest.mark.parametrize(
    "answer",
    [
        "A llama and a claude monet.",
        "Gemini is a constellation.",
        "At the base of the hill, sft-123 and presft-12.",
        "An Egyptian frog",
        "",
    ],
)
def test_it_lets_other_answers_be(answer: str) -> None:
    assert not names_model(answer, ["base", "sft-12"])


def test_a_name_that_was_asked_about_tells_only_as_an_introduction() -> None:
    asked = "When was OpenAI founded?"
    assert not names_model("OpenAI was founded in 2015.", asked=asked)
    assert names_model("I was made by OpenAI.", asked=asked)
