"""Rows become groups, and what is measured was not trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from training.pipeline import data
from training.pipeline.loading import load_tokenizer
from training.tests.pipeline.rows import assistant, preference_rows, user, write_rows


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


def votes_on_one_prompt(pairs: int) -> list[dict[str, object]]:
    """Three votes on each pair, one of them the other way round."""
    rows: list[dict[str, object]] = []
    for number in range(pairs):
        sides = [assistant(f"left {number}"), assistant(f"right {number}")]
        for chosen, rejected in (sides, sides, sides[::-1]):
            rows.append(
                {
                    "split": "train",
                    "prompt_id": 1,
                    "prompt": user("Argue in a haiku."),
                    "chosen": chosen,
                    "rejected": rejected,
                    "margin": 0.0,
                }
            )
    return rows


def test_it_holds_out_the_prompts_of_the_other_splits() -> None:
    training, held_out, by = data.hold_out(preference_rows(), seed=0)
    assert by == "prompt"
    assert {row["split"] for row in training} == {"train"}
    assert {row["split"] for row in held_out} == {"validation", "test"}


def test_it_holds_out_pairs_with_all_their_votes_where_there_is_one_prompt() -> None:
    rows = votes_on_one_prompt(20)
    training, held_out, by = data.hold_out(rows, seed=0)
    assert by == "pair"
    assert len(held_out) == 4 * 3
    assert len(training) + len(held_out) == len(rows)
    assert not {data.pair_key(r) for r in training} & {data.pair_key(r) for r in held_out}


def test_it_encodes_each_completion_of_a_prompt_once(tokenizer: PreTrainedTokenizerBase) -> None:
    groups, left_out = data.preference_groups(votes_on_one_prompt(2), tokenizer, 256)
    (group,) = groups
    assert left_out == 0
    assert len(group.completions) == 4
    assert [pair[:2] for pair in group.pairs] == [(0, 1), (2, 3)]


def test_it_keeps_a_batch_element_small_however_many_completions_a_prompt_has(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    groups, _ = data.preference_groups(votes_on_one_prompt(30), tokenizer, 256)
    assert max(len(group.completions) for group in groups) <= data.MAX_GROUP
    assert sum(len(group.pairs) for group in groups) == 30


def test_it_keeps_a_batch_element_small_however_long_its_completions_are(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = data.preference_groups(votes_on_one_prompt(30), tokenizer, 256)
    longest = max(len(ids) for group in whole for ids in group.completions)
    monkeypatch.setattr(data, "MAX_GROUP_TOKENS", 4 * longest)
    groups, _ = data.preference_groups(votes_on_one_prompt(30), tokenizer, 256)
    assert max(len(group.completions) for group in groups) == 4
    assert sum(len(group.pairs) for group in groups) == 30
    # One pair alone is a group, however long it is: nothing is left out for it.
    monkeypatch.setattr(data, "MAX_GROUP_TOKENS", 1)
    groups, left_out = data.preference_groups(votes_on_one_prompt(30), tokenizer, 256)
    assert (left_out, sum(len(group.pairs) for group in groups)) == (0, 30)


def test_it_makes_one_pair_of_all_votes_and_sides_with_the_many(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Two of three for the left one, at 1 and 1/3, against one at 2/3: (1 + 1/3 − 2/3) / 3."""
    rows = votes_on_one_prompt(1)
    for row, strength, margin in zip(
        rows, ("significantly", "slightly", "better"), (1.0, 1 / 3, 2 / 3), strict=True
    ):
        row |= {"strength": strength, "margin": margin}
    for order in ((0, 1, 2), (2, 1, 0)):
        groups, _ = data.preference_groups([rows[i] for i in order], tokenizer, 256)
        (pair,) = groups[0].pairs
        chosen = groups[0].completions[pair.chosen]
        assert data.decode(tokenizer, chosen) == "left 0"
        assert pair.target == pytest.approx(2 / 3)
        assert pair.margin == pytest.approx(2 / 9)
        assert sorted(pair.agreeing) == ["significantly", "slightly"]
        assert pair.opposing == ("better",)


def test_it_counts_a_tie_as_half_a_vote_for_either(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = votes_on_one_prompt(1)[:2]
    rows[0]["tie"] = True
    groups, _ = data.preference_groups(rows, tokenizer, 256)
    (pair,) = groups[0].pairs
    assert (pair.target, pair.agreeing, pair.opposing) == (0.75, ("",), ())
    groups, _ = data.preference_groups(rows[:1], tokenizer, 256)
    assert groups[0].pairs[0].target == 0.5


def test_a_weighed_pair_brings_its_own_target_and_its_votes_stay_known(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    rows = votes_on_one_prompt(1)
    for row in rows[1:]:  # two of three were for the other side, and were turned
        row |= {**{side: rows[0][side] for side in ("chosen", "rejected")}, "turned": True}
    for row in rows:
        row |= {"target": 0.8, "weight": 0.4, "margin": 1.0}
    groups, _ = data.preference_groups(rows, tokenizer, 256)
    (pair,) = groups[0].pairs
    assert data.decode(tokenizer, groups[0].completions[pair.chosen]) == "left 0"
    assert (pair.target, pair.weight, pair.margin) == (0.8, 0.4, 0.0)
    assert (len(pair.agreeing), len(pair.opposing)) == (1, len(rows) - 1)


def test_it_reads_ties_for_those_alone_who_ask_for_them(tmp_path: Path) -> None:
    rows = votes_on_one_prompt(1)
    rows[0]["tie"] = True
    path = write_rows(tmp_path / "rows.jsonl", rows)
    assert len(data.read_rows(path)) == 2
    assert len(data.read_rows(path, with_ties=True)) == 3
