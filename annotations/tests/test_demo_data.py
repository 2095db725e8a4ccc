"""What the demo project is seeded with keeps the promises that its guidelines make."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotations.algorithms.haiku import find_subject, score_haiku, split_words
from annotations.models import Kind

DEMO = Path(__file__).parents[1] / "demo"
GUIDELINES = Path(__file__).parents[2] / "docs" / "guidelines"


def read_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DEMO / name).read_text("utf-8").splitlines()]


HAIKUS = read_rows("haikus.jsonl")
PROMPTS = read_rows("prompts.jsonl")


def test_it_has_enough_to_start_with() -> None:
    assert len(HAIKUS) >= 160
    assert len(PROMPTS) >= 520
    assert all(row.keys() == {"prompt", "completion"} for row in HAIKUS)
    assert all(row.keys() == {"prompt", "tags"} and row["tags"] for row in PROMPTS)


@pytest.mark.parametrize("row", HAIKUS, ids=lambda row: row["completion"].splitlines()[0])
def test_it_demonstrates_perfect_haikus_only(row: dict[str, str]) -> None:
    score = score_haiku(row["prompt"], row["completion"])
    assert score.syllables == (5, 7, 5)
    assert score.total == 0
    assert row["completion"][0].isupper()


def test_it_demonstrates_no_haiku_twice_and_no_prompt_more_than_twice() -> None:
    assert len({row["completion"] for row in HAIKUS}) == len(HAIKUS)
    per_prompt = Counter(row["prompt"] for row in HAIKUS)
    assert max(per_prompt.values()) == 2
    assert sum(count == 2 for count in per_prompt.values()) <= 20


def test_it_asks_for_each_subject_once() -> None:
    demonstrated = {tuple(split_words(row["prompt"])) for row in HAIKUS}
    subjects = [frozenset(find_subject(row["prompt"])) for row in PROMPTS]
    assert all(subjects)
    assert len(set(subjects)) == len(subjects)
    assert not set(subjects) & {frozenset(find_subject(row["prompt"])) for row in HAIKUS}
    assert not demonstrated & {tuple(split_words(row["prompt"])) for row in PROMPTS}


@pytest.mark.parametrize("rows", [HAIKUS, PROMPTS], ids=["haikus", "prompts"])
def test_it_asks_mostly_in_one_way_and_always_for_a_haiku(rows: list[dict[str, str]]) -> None:
    prompts = {row["prompt"] for row in rows}
    usual = sum(prompt.startswith("Write a haiku about ") for prompt in prompts)
    assert 0.7 <= usual / len(prompts) < 1
    assert all("haiku" in prompt.lower() and prompt[-1] in ".?" for prompt in prompts)


def test_it_is_plain_text() -> None:
    texts = [row[field] for row in HAIKUS for field in ("prompt", "completion")]
    texts += [row["prompt"] for row in PROMPTS]
    for text in texts:
        assert text.isascii()
        assert text.replace("\n", "").isprintable()
        assert text.splitlines() == [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("kind", Kind.values)
def test_it_has_short_guidelines_for_each_kind(kind: str) -> None:
    text = (GUIDELINES / f"{kind}.md").read_text("utf-8")
    assert text.startswith("# ")
    assert 100 < len(text.split()) < 500
