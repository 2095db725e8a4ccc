"""Scores are the same however many texts are read together."""

from __future__ import annotations

from pathlib import Path

import pytest
from peft import PeftModel

from training.pipeline import scoring
from training.pipeline.errors import PipelineError
from training.pipeline.loading import load_reward_base, load_tokenizer
from training.pipeline.scoring import score_each

GROUPS = [
    {"prompt": [1, 5, 6], "completions": [[7, 8], [9], [10, 11, 12]]},
    {"prompt": [1, 5, 6, 7, 8], "completions": [[9, 3]]},
    {"prompt": [4], "completions": [[5, 6, 7, 8], [9, 10]]},
]


@pytest.fixture
def scorer(tiny_model: Path, reward_adapter: str) -> PeftModel:
    tokenizer = load_tokenizer(str(tiny_model))
    base = load_reward_base(str(tiny_model), tokenizer)
    return PeftModel.from_pretrained(base, reward_adapter).eval()


def test_they_are_read_as_many_together_as_fit(
    scorer: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first group pads to 3 + 3·3 tokens, with the second it is 2·5 + 4·3, all 3·5 + 6·4."""
    whole = score_each(scorer, GROUPS, 2, lambda done, total: None)
    assert [len(scores) for scores in whole] == [3, 1, 2]
    for most, steps in ((1, [1, 2, 3]), (22, [2, 3]), (39, [3])):
        monkeypatch.setattr(scoring, "SCORED_AT_ONCE", most)
        told: list[int] = []
        found = score_each(scorer, GROUPS, 2, lambda done, total, told=told: told.append(done))
        assert told == steps
        for scores, expected in zip(found, whole, strict=True):
            assert scores == pytest.approx(expected, abs=1e-5)
    assert score_each(scorer, [], 2, lambda done, total: None) == []


def test_a_score_that_is_not_a_number_is_told(scorer: PeftModel) -> None:
    for name, weight in scorer.named_parameters():
        if "score.modules_to_save" in name:
            weight.data.fill_(float("nan"))
    with pytest.raises(PipelineError, match=r"not a number\. .*Train it again"):
        score_each(scorer, GROUPS, 2, lambda done, total: None)
