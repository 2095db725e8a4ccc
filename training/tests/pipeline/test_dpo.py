"""DPO: the reward it implies, what it refuses, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.pipeline import data, trainers
from training.pipeline.checkpoints import is_whole
from training.pipeline.config import DPOConfig
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.trainers import batch_settings
from training.tests.pipeline.conftest import run_job, steps_shown
from training.tests.pipeline.rows import preference_rows, write_rows

MakeJob = Callable[..., Job]
CONFIG = DPOConfig(batch_size=5, epochs=1, learning_rate=5e-3)


def metrics(events: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [e["values"] for e in events if e["event"] == "metrics" and "loss" in e["values"]]


def log_probs(folder: Path, adapter: str, pairs: list[data.PairRow], side: str) -> list[float]:
    """Return the log-probability of each completion, through transformers and PEFT alone."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    found = []
    for pair in pairs:
        completion = getattr(pair, side)
        logits = model(input_ids=torch.tensor([pair.prompt + completion])).logits[0]
        read = logits[len(pair.prompt) - 1 : -1].log_softmax(dim=-1)
        found.append(read[range(len(completion)), completion].sum().item())
    return found


@torch.no_grad()
def test_it_implies_the_reward_that_its_paper_defines(
    make_job: MakeJob, tiny_model: Path, sft_adapter: str, tmp_path: Path
) -> None:
    """r = β (log π − log π_ref), and the reference is the parent (arXiv:2305.18290, eq. 5)."""
    job = make_job(tmp_path, CONFIG, "preferences", adapter_path=sft_adapter)
    with torch.enable_grad():
        output, results, events = run_job(job)
    assert is_whole(Path(output))
    rows = [row for row in preference_rows() if row["split"] != "train"]
    pairs, _ = data.preference_pairs(rows, AutoTokenizer.from_pretrained(output), 256)
    sides = {
        side: [
            own - parent
            for own, parent in zip(
                log_probs(tiny_model, output, pairs, side),
                log_probs(tiny_model, sft_adapter, pairs, side),
                strict=True,
            )
        ]
        for side in ("chosen", "rejected")
    }
    gaps = [c - r for c, r in zip(sides["chosen"], sides["rejected"], strict=True)]
    assert results["heldout_margin"] == pytest.approx(0.1 * sum(gaps) / len(gaps), abs=1e-4)
    assert results["heldout_accuracy"] == sum(gap > 0 for gap in gaps) / len(gaps) > 0.9
    assert results["heldout_pairs"] == len(pairs) == 20
    assert results["kl"] > 0
    assert steps_shown(events) == ["3", "6", "9"]
    first = metrics(events)[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)  # policy is reference
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)


def test_it_teaches_what_was_chosen_as_well_if_asked_to(make_job: MakeJob, tmp_path: Path) -> None:
    ends = []
    for name, config in (("plain", CONFIG), ("sft", replace(CONFIG, sft_coef=5.0))):
        last = metrics(run_job(make_job(tmp_path / name, config, "preferences"))[2])[-1]
        ends.append(last["logps/chosen"])
    assert ends[1] > ends[0]


def test_it_learns_the_same_from_a_batch_in_parts(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, epochs=0.3)
    whole, _, _ = run_job(make_job(tmp_path / "whole", config, "preferences"))
    monkeypatch.setattr(trainers, "TOKENS_AT_ONCE", 1)
    parts, _, _ = run_job(make_job(tmp_path / "parts", config, "preferences"))
    name = "adapter_model.safetensors"
    expected, found = load_file(Path(whole) / name), load_file(Path(parts) / name)
    for weight, value in expected.items():
        torch.testing.assert_close(found[weight], value, atol=1e-4, rtol=1e-3)


def test_it_reads_as_many_rows_at_once_as_fit() -> None:
    def at_once(*args: int, **more: int) -> tuple[int, ...]:
        return tuple(batch_settings(*args, **more).values())

    assert at_once(8, 512) == (8, 1)
    assert at_once(64, 200) == (16, 4)  # 20 fit, but 64 are divided evenly
    assert at_once(8, 9000) == (1, 8)
    assert at_once(8, 9000, fewest=2) == (2, 4)
    assert at_once(7, 9000, fewest=2) == (7, 1)


def test_it_refuses_too_few_pairs_and_counts_the_long_ones(
    make_job: MakeJob, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError, match=r"60 preference pairs .* at least 1000.*Collect more"):
        run_job(make_job(tmp_path, DPOConfig(min_pairs=1000), "preferences"))
    rows = preference_rows()
    rows[0]["rejected"][0]["content"] = "pond " * 300
    path = write_rows(tmp_path / "long.jsonl", rows)
    job = make_job(tmp_path, DPOConfig(batch_size=20, min_pairs=2, epochs=0.1), "preferences")
    _, results, _ = run_job(Job(**{**vars(job), "data_path": path}))
    assert results["left_out_too_long"] == 1
    assert results["train_pairs"] == 59
