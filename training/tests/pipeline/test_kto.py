"""KTO: judged completions without pairs, and the kind that is rarer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from training.pipeline.checkpoints import is_whole
from training.pipeline.config import KTOConfig
from training.pipeline.data import JudgedRow
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.kto import strangers, weights
from training.tests.pipeline.conftest import run_job, steps_shown
from training.tests.pipeline.rows import judged_rows, write_rows

MakeJob = Callable[..., Job]
CONFIG = KTOConfig(batch_size=10, epochs=1, learning_rate=5e-3)


def row(prompt_id: int, *completion: int, good: bool = True) -> JudgedRow:
    return JudgedRow(prompt_id, [1, 2, 3], list(completion), good)


def test_it_makes_good_completions_likelier_than_bad_ones(
    make_job: MakeJob, sft_adapter: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path, CONFIG, "judgements", adapter_path=sft_adapter)
    output, results, events = run_job(job)
    assert is_whole(Path(output))
    assert results["heldout_accuracy"] > 0.9
    assert (results["heldout_pairs"], results["heldout_prompts"]) == (20, 10)
    assert (results["train_good"], results["train_bad"]) == (30, 60)
    first: dict[str, Any] = next(e["values"] for e in events if e["event"] == "metrics")
    assert first["kl"] == pytest.approx(0, abs=1e-5)  # policy is reference
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    before, after = (
        load_file(Path(folder) / "adapter_model.safetensors") for folder in (sft_adapter, output)
    )
    assert steps_shown(events) == ["2", "4", "7"]
    assert before.keys() == after.keys()
    assert any((before[name] != after[name]).any() for name in before)


def test_it_weights_the_rarer_kind_up() -> None:
    rows = [row(1, 4), row(1, 5, good=False), row(2, 4, good=False), row(2, 5, good=False)]
    assert weights(rows, CONFIG) == (3.0, 1.0)
    assert weights([rows[0], rows[0], rows[1]], CONFIG) == (1.0, 2.0)
    assert weights(rows, replace(CONFIG, desirable_weight=1.5)) == (1.5, 1.0)


def test_it_estimates_the_kl_on_completions_of_other_prompts() -> None:
    rows = [row(1, 4), row(1, 5), row(2, 6), row(1, 7)]
    assert strangers(rows) == [[6], [6], [5], [6]]
    assert strangers(rows[:2]) == [[5], [4]]  # one prompt alone: the completion before


@pytest.mark.parametrize(("kept", "lacking"), [(True, "bad"), (False, "good")])
def test_it_refuses_completions_that_were_all_judged_alike(
    make_job: MakeJob, tmp_path: Path, kept: bool, lacking: str
) -> None:
    rows = [row for row in judged_rows() if row["label"] == kept]
    path = write_rows(tmp_path / "alike.jsonl", rows)
    job = make_job(tmp_path, replace(CONFIG, min_rows=2), "judgements")
    with pytest.raises(PipelineError, match=f"judgements of {lacking} completions"):
        run_job(Job(**{**vars(job), "data_path": path}))


def test_it_refuses_too_few_rows(make_job: MakeJob, tmp_path: Path) -> None:
    config = replace(CONFIG, min_rows=1000)
    with pytest.raises(PipelineError, match=r"90 judged completions .* at least 1000"):
        run_job(make_job(tmp_path, config, "judgements"))
