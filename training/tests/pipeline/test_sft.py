"""What supervised fine-tuning shows while it trains; packed texts do not see each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from training.pipeline.checkpoints import read_manifest
from training.pipeline.config import PPOConfig, RewardConfig, SampleConfig, SFTConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.loading import load_base
from training.pipeline.sft import check_packing
from training.tests.pipeline.conftest import run_job, steps_shown

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


def test_a_run_that_is_stopped_while_it_answers_loses_no_step(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """Of six steps it answers after 0, 2, 3 and 4; none of them is due to be saved."""
    config = SFTConfig(batch_size=5, epochs=1, checkpoint_every=100)
    job = make_job(tmp_path, config, "demonstrations")

    def answers_for_the_third_time(events: list[dict[str, Any]]) -> bool:
        return [e.get("phase") for e in events].count("writing samples") == 3

    with pytest.raises(RunStopped):
        run_job(job, should_stop=answers_for_the_third_time)
    _, _, events = run_job(job)
    assert min(e["step"] for e in events if e["event"] == "progress") == 3
    assert steps_shown(events) == ["2", "3", "4"]


def test_it_looks_at_nothing_in_between_where_that_is_not_wanted(
    make_job: MakeJob, tmp_path: Path
) -> None:
    config = SFTConfig(batch_size=10, epochs=1, looks=0)
    output, _, events = run_job(make_job(tmp_path, config, "demonstrations"))
    assert [e["step"] for e in events if "eval_loss" in e.get("values", {})] == [3]
    # PEFT keeps them in a set, whose order differs between processes; its file's hash must not
    targets = json.loads((Path(output) / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(config.lora_targets.split())


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


@pytest.fixture(scope="module")
def full_model(
    make_job: MakeJob, sft_adapter: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Return the folder of what full fine-tuning made, going on from an adapter."""
    config = SFTConfig(batch_size=5, epochs=1, full=True, learning_rate=1e-4, checkpoint_every=2)
    folder = tmp_path_factory.mktemp("full")
    job = make_job(folder, config, "demonstrations", adapter_path=sft_adapter)
    with pytest.raises(RunStopped):
        run_job(job, should_stop=lambda events: any(e.get("step", 0) >= 3 for e in events))
    return run_job(job)[0]


def test_it_trains_every_weight_into_a_model_of_its_own(
    make_job: MakeJob, sft_adapter: str, full_model: str, tiny_model: Path
) -> None:
    assert read_manifest(Path(full_model))["weights"] == "full"
    made = AutoModelForCausalLM.from_pretrained(full_model).state_dict()
    before = AutoModelForCausalLM.from_pretrained(tiny_model).state_dict()
    assert made.keys() == before.keys()
    assert all(not torch.equal(made[name], weights) for name, weights in before.items())


def test_it_resumes_full_fine_tuning_to_the_weights_of_an_uninterrupted_run(
    make_job: MakeJob, sft_adapter: str, full_model: str, tmp_path: Path
) -> None:
    config = SFTConfig(batch_size=5, epochs=1, full=True, learning_rate=1e-4, checkpoint_every=2)
    job = make_job(tmp_path, config, "demonstrations", adapter_path=sft_adapter)
    whole = load_file(Path(run_job(job)[0]) / "model.safetensors")
    resumed = load_file(Path(full_model) / "model.safetensors")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(resumed[name], weights) for name, weights in whole.items())


def test_it_goes_on_from_a_model_of_its_own_as_from_a_base(
    make_job: MakeJob, full_model: str, sft_adapter: str, tiny_model: Path, tmp_path: Path
) -> None:
    """A reward model on it, PPO from it, and answers of it beside an adapter's on the old base."""
    config = RewardConfig(batch_size=8, min_pairs=2, epochs=0.3)
    reward_job = Job(
        **{**vars(make_job(tmp_path / "r", config, "preferences")), "base_path": full_model}
    )
    reward, _, _ = run_job(reward_job)
    ppo = PPOConfig(steps=1, batch_size=4, minibatch_size=4, ppo_epochs=1, max_new_tokens=4)
    ppo_job = make_job(tmp_path / "p", ppo, "prompts", reward_path=reward)
    _, _, events = run_job(Job(**{**vars(ppo_job), "base_path": full_model}))
    (metrics,) = [e["values"] for e in events if e["event"] == "metrics"]
    assert metrics["objective/kl"] == pytest.approx(0, abs=1e-4)
    sample = SampleConfig(completions_per_prompt=1, max_new_tokens=6)
    by_source = {}
    for name, base, rival in (("a", full_model, tiny_model), ("b", str(tiny_model), full_model)):
        job = make_job(tmp_path / name, sample, "prompts", rival=True, rival_base_path=str(rival))
        output, _, _ = run_job(Job(**{**vars(job), "base_path": base}))
        rows = [json.loads(line) for line in (Path(output) / "completions.jsonl").open()]
        by_source[name] = [row["text"] for row in rows if row["source"] == "policy"]
    assert by_source["a"] != by_source["b"]


def test_it_refuses_a_model_of_its_own_with_a_flipped_byte(
    make_job: MakeJob, full_model: str, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(full_model, tmp_path / "broken"))
    weights = bytearray((broken / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "model.safetensors").write_bytes(weights)
    job = make_job(tmp_path, SFTConfig(), "demonstrations")
    with pytest.raises(PipelineError, match=r"is damaged: model\.safetensors"):
        run_job(Job(**{**vars(job), "base_path": str(broken)}))


def test_it_refuses_an_adapters_learning_rate_for_every_weight() -> None:
    with pytest.raises(PipelineError, match=r"learning_rate is 0\.0003, which suits an adapter"):
        SFTConfig(full=True)
