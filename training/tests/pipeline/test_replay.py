"""Cases scored by the reward model on the tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from training.pipeline.config import ReplayConfig
from training.pipeline.errors import RunStopped
from training.pipeline.jobs import Job
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import write_rows

PROMPT = [{"role": "user", "content": "A frog."}]


def test_it_scores_both_answers_of_a_case(
    make_job: Callable[..., Job], reward_adapter: str, tmp_path: Path
) -> None:
    texts = [["old pond", "a frog leaps in"], ["a frog leaps in", "old pond"], ["x " * 4000, "y"]]
    cases = [{"digest": str(n), "prompt": PROMPT, "texts": pair} for n, pair in enumerate(texts)]
    rows = write_rows(tmp_path / "cases.jsonl", cases)
    job = replace(make_job(tmp_path, ReplayConfig(), "prompts"), data_path=rows)
    job = replace(job, reward_path=reward_adapter)
    with pytest.raises(RunStopped):
        run_job(job, should_stop=lambda events: True)
    output, results, _ = run_job(job)
    assert results == {"cases": 2, "left_out_too_long": 1}
    lines = Path(output, "scores.jsonl").read_text("utf-8").splitlines()
    first, second = (json.loads(line) for line in lines)
    assert first["first"] == pytest.approx(second["second"], abs=1e-4)
    assert first["second"] == pytest.approx(second["first"], abs=1e-4)
    assert first["first"] != pytest.approx(first["second"], abs=1e-6)
