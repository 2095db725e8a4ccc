"""Open items weighed by a reward model: by hand without one, and once on the tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.pipeline.config import WeighConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.weigh import expect_numbers, weighed
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import write_rows

PROMPT = [{"role": "user", "content": "A frog."}]


def item(number: int, states: list[list[float]], scores: list[float], **changes: Any) -> Any:
    row = {"item": number, "kind": "comparison", "seconds": 10.0, "ids": [0, 1, 2][: len(states)]}
    return {**row, **changes}, np.array(states), np.array(scores)


def judged(states: list[list[float]], answers: float) -> Any:
    return {"answers": answers}, np.array(states), np.zeros(2)


def test_what_was_asked_often_is_asked_last() -> None:
    """Two directions, one of them judged a hundred times: the other tells more."""
    read = [judged([[1, 0], [0, 0]], 100), item(1, [[1, 0], [0, 0]], [0, 0])]
    read.append(item(2, [[0, 1], [0, 0]], [0, 0]))
    lines = weighed(read, ties=0.0)
    assert [line["item"] for line in lines] == [2, 1]
    assert lines[0]["pairs"][0]["variance"] == pytest.approx(4), "the prior's, SPREAD squared"
    assert lines[1]["pairs"][0]["variance"] == pytest.approx(1 / (1 / 4 + 100 / 4), rel=1e-4)


def test_a_ranking_counts_its_pairs_by_their_shares() -> None:
    states = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    (line,) = weighed([item(7, states, [0.5, 0.0, -0.5], kind="ranking")], ties=0.0)
    assert [(pair["first"], pair["second"]) for pair in line["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    assert [pair["mean"] for pair in line["pairs"]] == [0.5, 1.0, 0.5]
    assert {pair["share"] for pair in line["pairs"]} == {2 / 3}


def test_texts_that_are_all_alike_are_worth_nothing_and_stay_in_their_order() -> None:
    same = [[1.0, 2.0], [1.0, 2.0]]
    lines = weighed([item(number, same, [0, 0]) for number in (3, 1, 2)], ties=0.2)
    assert [(line["item"], line["nats"]) for line in lines] == [(3, 0), (1, 0), (2, 0)]
    assert weighed([judged(same, 1)], ties=0.0) == []


def test_it_weighs_items_by_the_reward_model(
    make_job: Callable[..., Job], reward_adapter: str, tmp_path: Path
) -> None:
    texts = [["old pond", "a frog leaps in"], ["water", "stone and moss"], ["x " * 4000, "y"]]
    rows: list[dict[str, Any]] = [
        {
            "item": number,
            "kind": "comparison",
            "prompt": PROMPT,
            "ids": [2 * number, 2 * number + 1],
            "texts": pair,
            "seconds": 20.0,
        }
        for number, pair in enumerate(texts)
    ]
    rows.append({"prompt": PROMPT, "texts": texts[0], "answers": 50.0})
    path = write_rows(tmp_path / "items.jsonl", rows)
    job = replace(make_job(tmp_path, WeighConfig(ties=0.1), "prompts"), data_path=path)
    job = replace(job, reward_path=reward_adapter)
    with pytest.raises(RunStopped):
        run_job(job, should_stop=lambda events: True)
    output, results, _ = run_job(job)
    assert results == {"items": 2, "known_pairs": 1, "left_out": 1}
    lines = [json.loads(line) for line in Path(output, "worth.jsonl").read_text().splitlines()]
    assert lines[2] == {"item": 2, "kind": "comparison", "left_out": "too long"}
    assert [line["item"] for line in lines[:2]] == [1, 0], "of the other much is known"
    assert lines[0]["nats"] > lines[1]["nats"] > 0


def test_a_model_whose_scores_are_no_numbers_is_refused_in_words() -> None:
    out = [{"item": 1, "kind": "comparison", "left_out": "not a number"}]
    with pytest.raises(PipelineError, match="no score that is a number"):
        expect_numbers([judged([[1, 0], [0, 0]], 1)], out)
    expect_numbers([item(2, [[1, 0], [0, 0]], [0, 0])], out)
    expect_numbers([], [{**out[0], "left_out": "too long"}])
