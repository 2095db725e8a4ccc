"""A failure that has a known cause says what happened and which settings mend it."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from training.pipeline.__main__ import _failed
from training.pipeline.config import (
    CONFIGS,
    AnyConfig,
    PPOConfig,
    RewardConfig,
    SFTConfig,
    parse_config,
)
from training.pipeline.errors import PipelineError
from training.pipeline.failures import explain, for_memory
from training.pipeline.jobs import Job
from training.pipeline.loading import pick_dtype
from training.pipeline.machine import computes_in_bfloat16
from training.pipeline.reporting import Reporter, TrainerReporter, check_finite


def job(tmp_path: Path, config: AnyConfig) -> Job:
    place = str(tmp_path)
    return Job(config=config, base_path=place, work_dir=place, output_dir=place)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory.",
        "DefaultCPUAllocator: can't allocate memory",
        "could not create a primitive",
    ],
)
def test_out_of_memory_names_smaller_settings(tmp_path: Path, words: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    known = explain(RuntimeError(words), job(tmp_path, SFTConfig(batch_size=8)))
    assert known is not None
    assert known.change == {"micro_batch_size": 4, "gradient_checkpointing": True}
    assert "micro_batch_size 4 and gradient_checkpointing on" in str(known)


@pytest.mark.parametrize(
    "error", [OSError(28, "x"), RuntimeError("I/O error: No space left on device (os error 28)")]
)
def test_a_full_disk_is_told_whoever_found_it(tmp_path: Path, error: Exception) -> None:
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = error
    known = explain(wrapped, job(tmp_path, SFTConfig()))
    assert known is not None
    assert "The disk is full" in str(known)
    assert str(tmp_path) in str(known)


def test_why_it_failed_is_told_though_the_log_lies_on_the_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115  # closing it fails as well
    monkeypatch.setattr(sys, "stderr", full)
    known = PipelineError("The disk is full. Free some space.")
    told = _failed(OSError(28, "x"), known)
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space"):
        full.close()
    assert told["message"] == str(known)


def test_the_operator_may_choose_what_runs_compute_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_DTYPE", "bfloat16")
    assert (pick_dtype(), computes_in_bfloat16()) == (torch.bfloat16, True)
    monkeypatch.setenv("TRAINING_DTYPE", "float32")
    assert (pick_dtype(), computes_in_bfloat16()) == (torch.float32, False)
    monkeypatch.setenv("TRAINING_DTYPE", "fp8")
    with pytest.raises(PipelineError, match="Choose float32 or bfloat16"):
        pick_dtype()


def test_what_nobody_foresaw_has_no_remedy(tmp_path: Path) -> None:
    unknown = RuntimeError("could not create a primitive descriptor for a convolution")
    assert explain(unknown, job(tmp_path, SFTConfig())) is None
    assert explain(KeyError("x"), job(tmp_path, SFTConfig())) is None


def test_a_loss_that_is_no_number_asks_for_a_lower_learning_rate() -> None:
    with pytest.raises(PipelineError) as caught:
        check_finite("loss", float("nan"), 3, 3e-4)
    assert caught.value.change == {"learning_rate": 6e-5}


def test_a_first_loss_that_is_no_number_blames_no_learning_rate() -> None:
    """What the trainers log of their first step was reckoned before the first update."""
    reporting = TrainerReporter(Reporter(lambda _: None, lambda: False), 3e-4)
    for step, change in ((1, {}), (2, {"learning_rate": 6e-5})):
        state = TrainerState(global_step=step)
        with pytest.raises(PipelineError) as caught:
            reporting.on_log(
                TrainingArguments(), state, TrainerControl(), {"loss": 1.0, "grad_norm": math.inf}
            )
        assert caught.value.change == change
    assert "at step 2" in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        *(config() for config in CONFIGS.values()),
        SFTConfig(batch_size=8, processes=4),
        CONFIGS["kto"](batch_size=2),
        SFTConfig(batch_size=6),
        SFTConfig(batch_size=1),
        RewardConfig(batch_size=1),
        PPOConfig(batch_size=12, minibatch_size=6),
        PPOConfig(batch_size=4, minibatch_size=1),
    ],
)
def test_every_cure_is_a_setting_that_can_run(config: Any) -> None:
    for _ in range(12):
        values = config.to_dict() | for_memory(config)
        assert values != config.to_dict() or values.get("max_length", 16) <= 16
        config = parse_config(config.stage, values)
