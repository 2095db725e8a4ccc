"""GRPO and RLOO: what they learn from, what they move, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from training.pipeline import data, groups, loading
from training.pipeline.checkpoints import is_whole, read_manifest, seal
from training.pipeline.config import GroupConfig, GRPOConfig, PPOConfig, RLOOConfig, StageConfig
from training.pipeline.errors import PipelineError
from training.pipeline.groups import Models, Rollouts, prompts_of_steps
from training.pipeline.jobs import Job
from training.pipeline.loading import read_centre
from training.tests.pipeline.conftest import run_job, steps_shown
from training.tests.pipeline.rows import prompt_rows, write_rows
from training.tests.tiny import build_tiny_model

MakeJob = Callable[..., Job]
SMALL: dict[str, Any] = {
    "steps": 2,
    "batch_size": 8,
    "minibatch_size": 8,
    "group_size": 4,
    "max_new_tokens": 8,
    "learning_rate": 5e-3,
}
STAGES: list[GroupConfig] = [GRPOConfig(**SMALL), RLOOConfig(**SMALL)]
both = pytest.mark.parametrize("config", STAGES, ids=["grpo", "rloo"])


def adapter(folder: str) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "adapter_model.safetensors")


def steps(events: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [e["values"] for e in events if e["event"] == "metrics" and "reward" in e["values"]]


def kls(events: list[dict[str, Any]]) -> list[float]:
    """Return the KL of every completion that was measured, in nats."""
    found = [e["values"].get("objective/kl") for e in events if e["event"] == "metrics"]
    return [kl for kl in found if kl is not None]


@both
def test_it_begins_at_the_reference_and_moves_the_policy(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tmp_path: Path, config: GroupConfig
) -> None:
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    output, results, events = run_job(make_job(tmp_path, config, "prompts", **paths))
    assert is_whole(Path(output))
    first, last = steps(events)
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert last["kl"] != 0
    far = kls(events)
    assert far[0] == pytest.approx(0, abs=1e-5)
    if config.stage == "rloo":  # GRPO estimates its own by another formula
        per_token = last["kl"] * last["completions/mean_length"]
        assert far[1] == pytest.approx(per_token, rel=1e-3, abs=1e-6)
    assert results.keys() == {
        "kl", "score_before", "score_after", "score_prompts", "episodes", "length_before",
        "length_after",
    }  # fmt: skip
    assert results["episodes"] == 16
    assert steps_shown(events) == ["1"]
    before, after = adapter(sft_adapter), adapter(output)
    assert before.keys() == after.keys()
    assert all((before[name] != after[name]).any() for name in before)


@pytest.mark.parametrize("beta", [0.05, 0.0])
@both
def test_it_begins_at_the_reference_in_half_precision_too(
    make_job: MakeJob,
    sft_adapter: str,
    reward_adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: GroupConfig,
    beta: float,
) -> None:
    """Sampling reads through the cache and rounds otherwise: nothing of that may look like a KL."""
    monkeypatch.setenv("TRAINING_DTYPE", "bfloat16")
    config = replace(config, steps=1, beta=beta, minibatch_size=4)
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    (far,) = kls(run_job(make_job(tmp_path, config, "prompts", **paths))[2])
    assert far == pytest.approx(0, abs=1e-3)


@both
def test_it_learns_the_same_from_a_batch_in_parts(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path, config: GroupConfig
) -> None:
    found = []
    for size in (8, 2):
        job = make_job(
            tmp_path / str(size),
            replace(config, minibatch_size=size),
            "prompts",
            reward_path=reward_adapter,
        )
        found.append(adapter(run_job(job)[0]))
    for name, weights in found[0].items():
        torch.testing.assert_close(found[1][name], weights, atol=1e-4, rtol=1e-3)


@both
def test_it_learns_a_reward_that_can_be_reckoned(
    make_job: MakeJob,
    reward_adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: GroupConfig,
) -> None:
    """The reward is four times the share of the upper half of the vocabulary: 2 by chance."""

    def share(_: Models, prompts: object, completions: list[list[int]]) -> list[float]:
        return [4 * sum(token >= 174 for token in ids) / len(ids) for ids in completions]

    monkeypatch.setattr(Models, "score", share)
    config = replace(
        config, steps=12, batch_size=64, minibatch_size=64, group_size=8, beta=0.0,
        max_new_tokens=6, missing_eos_penalty=0.0,
    )  # fmt: skip
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    rewards = [values["reward"] for values in steps(run_job(job)[2])]
    assert sum(rewards[-3:]) / 3 > 2.2


HACKED: dict[str, Any] = {
    "steps": 20,
    "batch_size": 64,
    "minibatch_size": 64,
    "group_size": 8,
    "max_new_tokens": 24,
    "learning_rate": 1e-3,
    "missing_eos_penalty": 0.0,
    "checkpoint_every": 2,
}
FEW: dict[str, Any] = {
    "batch_size": 32,
    "minibatch_size": 32,
    "group_size": 4,
    "max_new_tokens": 20,
}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        pytest.param(
            GRPOConfig(**HACKED | FEW, beta=0.0, max_kl=2.0, max_length_ratio=1e6),
            "Raise beta",
            marks=pytest.mark.long,
        ),
        (RLOOConfig(**HACKED, beta=1e-4, max_kl=1e6), "completions grew to"),
    ],
    ids=["grpo", "rloo"],
)
def test_it_stops_a_run_whose_reward_loves_length_and_publishes_what_was_before(
    make_job: MakeJob,
    brief_model: Path,
    reward_adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: GroupConfig,
    why: str,
) -> None:
    def love_of_length(_: Models, prompts: object, completions: list[list[int]]) -> list[float]:
        return [float(len(ids)) for ids in completions]

    monkeypatch.setattr(Models, "score", love_of_length)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    job = replace(job, base_path=str(brief_model))
    output, results, events = run_job(job)
    made, far = len(steps(events)), kls(events)
    assert made < config.steps
    assert results["episodes"] == made * config.batch_size
    assert why in results["stopped_early"]
    assert f"at step {made} of 20" in results["stopped_early"]
    kept = results["published_step"]
    assert 0 < kept < made
    if config.stage == "grpo":
        assert far[kept // groups.KL_EVERY] <= 1.0 < 2.0 < far[-1]
    else:
        lengths = [step["completions/mean_length"] for step in steps(events)]
        assert lengths[kept] <= 1.25 * lengths[0] < 1.5 * lengths[0] < lengths[-1]
    # Without a price the KL is measured now and then, with one in every step.
    assert len(far) == (made if config.beta else 1 + (made - 1) // groups.KL_EVERY)
    samples = [e["samples"] for e in events if e["event"] == "samples"][-1]
    assert samples[0].keys() == {"prompt", "before", "after", "slid", "steps"}
    assert read_manifest(Path(output))["results"]["published_step"] == kept

    if config.stage == "rloo":
        return
    # Gone on with from its last resume point, as after a crash, it comes to the same end.
    published = adapter(output)
    again, resumed, events = run_job(replace(job, output_dir=str(tmp_path / "again")))
    assert min(e["step"] for e in events if e["event"] == "progress") > 0
    assert resumed == results
    weights = adapter(again)
    assert all(torch.equal(weights[name], value) for name, value in published.items())


def test_it_gives_the_rewards_of_the_reward_model_and_takes_the_penalty_off(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tiny_model: Path, tmp_path: Path
) -> None:
    job = make_job(
        tmp_path, STAGES[0], "prompts", adapter_path=sft_adapter, reward_path=reward_adapter
    )
    models = groups.load_models(job, STAGES[0])
    base = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, num_labels=1, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(reward_adapter)
    base.config.pad_token_id = tokenizer.pad_token_id
    outside = PeftModel.from_pretrained(base, reward_adapter).eval()
    prompts = [row["prompt"] for row in prompt_rows()[:2]]
    completions = [[60, 61, tokenizer.eos_token_id], [70, 71]]
    with torch.no_grad():
        expected = [
            outside(input_ids=torch.tensor([data.encode_prompt(tokenizer, p) + c])).logits.item()
            for p, c in zip(prompts, completions, strict=True)
        ]
    found = Rollouts(models, replace(STAGES[0], missing_eos_penalty=3.0)).reward(
        prompts, [], completions
    )
    centre = read_centre(reward_adapter)
    assert centre
    assert found == pytest.approx([expected[0] - centre, expected[1] - centre - 3], abs=1e-5)


def test_it_shuffles_the_prompts_without_end() -> None:
    config = replace(STAGES[0], steps=25)
    prompts = [json.dumps(prompt) for prompt in prompts_of_steps(prompt_rows(), config)["prompt"]]
    assert len(prompts) == 25 * 2
    assert set(Counter(prompts[:40]).values()) == {1}
    assert prompts[40:] != prompts[:10]
    assert prompts[:10] != [json.dumps(row["prompt"]) for row in prompt_rows()[:10]]


def test_it_refuses_what_it_cannot_learn_from(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError, match="rloo needs a reward model"):
        run_job(make_job(tmp_path, STAGES[1], "prompts"))
    rows = [row for row in prompt_rows() if row["split"] != "train"]
    job = make_job(tmp_path, STAGES[0], "prompts", reward_path=reward_adapter)
    job = Job(**{**vars(job), "data_path": write_rows(tmp_path / "held-out.jsonl", rows)})
    with pytest.raises(PipelineError, match="no rows in its train split"):
        run_job(job)
    with pytest.raises(PipelineError, match="batch_size 10 is not a multiple of group_size 4"):
        RLOOConfig(batch_size=10, group_size=4, minibatch_size=10)


@pytest.mark.parametrize("config", [STAGES[0], PPOConfig()], ids=["grpo", "ppo"])
def test_it_refuses_a_reward_model_of_another_base_or_tokenizer(
    make_job: MakeJob,
    reward_adapter: str,
    tmp_path: Path,
    config: StageConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it reads the weights of the base, which may take minutes."""
    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", None)
    other = Path(shutil.copytree(reward_adapter, tmp_path / "other"))
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 999, "content": "<x>"})
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    seal(other, read_manifest(other))
    job = make_job(tmp_path, config, "prompts", reward_path=str(other))
    with pytest.raises(PipelineError, match="another tokenizer"):
        run_job(job)
    larger = build_tiny_model(tmp_path / "larger", hidden_size=32)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match="made on another base model"):
        run_job(Job(**{**vars(job), "base_path": str(larger)}))
