"""What supervised fine-tuning shows while it trains; packed texts do not see each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM

from training.pipeline.config import Job, SFTConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.loading import load_base
from training.pipeline.sft import check_packing
from training.tests.pipeline.conftest import run_job

MakeJob = Callable[..., Job]


def test_it_shows_the_validation_loss_and_samples_while_it_trains(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """30 rows in batches of 5, twice over: 12 steps, so three looks fall on 3, 6 and 9."""
    config = SFTConfig(batch_size=5, epochs=2, learning_rate=5e-3, checkpoint_every=2)
    job = make_job(tmp_path, config, "demonstrations")
    with pytest.raises(RunStopped):  # what was shown before a stop is shown after it
        run_job(job, should_stop=lambda events: any(e.get("step", 0) >= 7 for e in events))
    _, _, events = run_job(job)
    losses = [e["step"] for e in events if "eval_loss" in e.get("values", {})]
    assert losses == [9, 12]
    shown = [e["samples"] for e in events if e["event"] == "samples"]
    assert [[at["step"] for at in rows[0]["steps"]] for rows in shown] == [
        ["3", "6"],
        ["3", "6", "9"],
    ]
    assert len(shown[-1]) == 4
    first = shown[-1][0]
    assert first["before"] != first["after"]


def test_it_looks_at_nothing_in_between_where_that_is_not_wanted(
    make_job: MakeJob, tmp_path: Path
) -> None:
    config = SFTConfig(batch_size=10, epochs=1, looks=0)
    _, _, events = run_job(make_job(tmp_path, config, "demonstrations"))
    assert [e["step"] for e in events if "eval_loss" in e.get("values", {})] == [3]


def first_step(make_job: MakeJob, folder: Path, **changes: Any) -> dict[str, float]:
    values = {"batch_size": 30, "epochs": 1, "looks": 0, **changes}
    _, _, events = run_job(make_job(folder, SFTConfig(**values), "demonstrations"))
    (metrics,) = [e["values"] for e in events if "grad_norm" in e.get("values", {})]
    return {name: metrics[name] for name in ("loss", "grad_norm", "mean_token_accuracy")}


def test_it_learns_from_packed_demonstrations_what_it_learns_from_each_alone(
    make_job: MakeJob, tmp_path: Path
) -> None:
    alone = first_step(make_job, tmp_path / "alone")
    packed = first_step(make_job, tmp_path / "packed", packing=True)
    assert packed == pytest.approx(alone, rel=1e-4)


class Leaky(LlamaForCausalLM):
    """A model whose attention heeds no positions: packed texts see each other."""

    def forward(self, *args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs)


def test_it_refuses_to_pack_for_a_model_in_which_texts_would_see_each_other(
    tiny_model: Path,
) -> None:
    check_packing(load_base(str(tiny_model)))
    with pytest.raises(PipelineError, match=r"see each other.*Turn packing off"):
        check_packing(Leaky.from_pretrained(tiny_model))
