"""What is exported goes through TRL's own preprocessing, and nothing is lost or made up there."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from math import comb
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from trl.data_utils import (
    apply_chat_template,
    extract_prompt,
    is_conversational,
    unpair_preference_dataset,
)

from annotations import exports
from annotations.models import Kind, Rewrite
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
    make_ranking,
)

NUMBERS = itertools.count(1)
# The tiny model's words are single characters of few kinds; lines and spaces are among them.
TEXTS = st.text(alphabet="ab \n\t«é", min_size=1, max_size=12).filter(str.strip)
OUTCOMES = ("left", "right", "tie", "both_bad")


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


def exported(project, name: str, after: int = 0) -> list[dict[str, Any]]:
    lines = b"".join(exports.write_export(project, name, "jsonl")).decode().split("\n")
    rows = [json.loads(line) for line in lines if line]
    return [row for row in rows if row.get("annotation_id", after + 1) > after]


def bare(row: dict[str, Any], *columns: str) -> dict[str, Any]:
    return {column: row[column] for column in columns}


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda all: sum(all) > 1),
    outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=4),
    text=TEXTS,
)
def test_pairs_are_conserved_by_trl(project, bob, tokenizer, sizes, outcomes, text):
    last = max((row["annotation_id"] for row in exported(project, "preference")), default=0)
    prompt = make_prompt(project, f"a {next(NUMBERS)}")
    texts = [f"{text}{number}" for number in range(sum(sizes))]
    ranked = make_item(project, Kind.RANKING, prompt=prompt, texts=texts)
    ids = iter(ranked.completions.order_by("id").values_list("id", flat=True))
    ranking = make_ranking(ranked, bob, [[next(ids) for _ in range(size)] for size in sizes])
    for outcome in outcomes:
        make_comparison(make_item(project, texts=[f"{text}x", f"{text}y"]), bob, outcome)
    rows = [row for row in exported(project, "preference") if row["annotation_id"] >= ranking.pk]
    told = Counter(outcomes)
    of_ranking = comb(sum(sizes), 2) - sum(comb(size, 2) for size in sizes)
    assert len(rows) == of_ranking + told["left"] + told["right"]
    assert last < ranking.pk
    for row in rows:
        pair = bare(row, "prompt", "chosen", "rejected")
        assert is_conversational(pair)
        shown = apply_chat_template(pair, tokenizer)
        for side in ("chosen", "rejected"):
            assert row[side][0]["content"] in shown[side], "white space is kept"
        implicit = {side: [*row["prompt"], *row[side]] for side in ("chosen", "rejected")}
        assert extract_prompt(implicit) == pair
        assert isinstance(row["margin"], float)
    if rows:
        dataset = Dataset.from_list([bare(row, "prompt", "chosen", "rejected") for row in rows])
        labels = Counter(unpair_preference_dataset(dataset)["label"])
        assert labels == {True: len(rows), False: len(rows)}
    judged = [row for row in exported(project, "unpaired") if row["annotation_id"] >= ranking.pk]
    compared = [row for row in judged if row["annotation_id"] != ranking.pk]
    decided = told["left"] + told["right"]
    assert Counter(row["label"] for row in compared) == Counter(
        {True: decided, False: decided + 2 * told["both_bad"]}
    )
    for row in judged:
        one = bare(row, "prompt", "completion", "label")
        assert row["completion"][0]["content"] in apply_chat_template(one, tokenizer)["completion"]


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(text=TEXTS, original=TEXTS)
def test_texts_are_conserved_by_trl(project, bob, tokenizer, text, original):
    prompt = make_prompt(project, f"b {next(NUMBERS)}")
    written = make_demonstration(project, bob, text, prompt=prompt)
    item = make_item(project, Kind.REWRITE, texts=[original])
    rewrite = Rewrite.objects.create(
        annotation=make_annotation(item, bob),
        original=item.completions.get(),
        completion=make_completion(item.prompt, f"{text}!", author=bob),
    )
    for name, columns in (
        ("sft-messages", ("messages",)),
        ("sft-prompt-completion", ("prompt", "completion")),
    ):
        rows = {row["annotation_id"]: row for row in exported(project, name)}
        for annotation, expected in ((written.pk, text), (rewrite.pk, f"{text}!")):
            shown = apply_chat_template(bare(rows[annotation], *columns), tokenizer)
            assert expected in shown.get("completion", shown.get("text"))
    (pair,) = [r for r in exported(project, "preference") if r["annotation_id"] == rewrite.pk]
    assert pair["chosen"][0]["content"] == f"{text}!"
    assert pair["rejected"][0]["content"] == original
    row = exported(project, "prompts")[-1]
    assert "assistant" in apply_chat_template(bare(row, "prompt"), tokenizer)["prompt"]
