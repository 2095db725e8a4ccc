"""Each stage on the tiny model: weights move, what must not move does not, outputs reload."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from training.pipeline import data, ppo_state, ppo_step, reward, rollouts, samples, train
from training.pipeline.checkpoints import is_whole, read_manifest, seal
from training.pipeline.config import PPOConfig, RewardConfig, SampleConfig, SFTConfig
from training.pipeline.data import Pair, PreferenceGroup
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.reward import groups_at_once
from training.pipeline.scoring import score_groups
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import preference_rows, write_rows

MakeJob = Callable[..., Job]
SMALL_PPO = PPOConfig(
    steps=2,
    batch_size=8,
    minibatch_size=4,
    max_new_tokens=8,
    learning_rate=1e-3,
    checkpoint_every=1,
)


def adapter(path: str) -> dict[str, torch.Tensor]:
    return load_file(Path(path) / "adapter_model.safetensors")


def test_it_fine_tunes_and_leaves_a_whole_checkpoint(sft_adapter: str) -> None:
    folder = Path(sft_adapter)
    assert is_whole(folder)
    assert (folder / "tokenizer.json").exists()
    assert any(w.abs().max() > 0 for n, w in adapter(sft_adapter).items() if "lora_B" in n)
    assert read_manifest(folder)["results"]["rows"] == 30


def test_it_learns_the_demonstrations(make_job: MakeJob, tmp_path: Path) -> None:
    config = SFTConfig(batch_size=4, epochs=4, learning_rate=5e-3)
    _, results, events = run_job(make_job(tmp_path, config, "demonstrations"))
    first = [
        e["values"]["loss"] for e in events if e["event"] == "metrics" and "loss" in e["values"]
    ]
    assert results["eval_loss"] < first[0] - 0.5
    *_, samples = [e["samples"] for e in events if e["event"] == "samples"]
    assert samples[0].keys() == {"prompt", "before", "after", "steps"}


def test_it_learns_the_same_in_micro_batches_with_activations_computed_again(
    make_job: MakeJob, tmp_path: Path
) -> None:
    whole = {"batch_size": 4, "epochs": 0.6, "learning_rate": 1e-3}
    small = {**whole, "micro_batch_size": 2, "gradient_checkpointing": True}
    losses = []
    for name, values in (("whole", whole), ("small", small)):
        job = make_job(tmp_path / name, SFTConfig(**values), "demonstrations")
        _, results, events = run_job(job)
        curve = [e["values"]["loss"] for e in events if "loss" in e.get("values", {})]
        losses.append([*curve, results["eval_loss"]])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_it_scores_the_same_after_saving_and_reloading(
    tiny_model: Path, reward_adapter: str, tmp_path: Path
) -> None:
    """Through transformers and PEFT alone, as anyone outside would load it."""
    tokenizer = AutoTokenizer.from_pretrained(reward_adapter)
    base = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, num_labels=1, dtype=torch.float32
    )
    base.config.pad_token_id = tokenizer.pad_token_id
    model = PeftModel.from_pretrained(base, reward_adapter).eval()
    groups, _ = data.preference_groups(preference_rows()[:6], tokenizer, 256)
    with torch.no_grad():
        ours = score_groups(model, [vars(g) for g in groups], tokenizer.pad_token_id)
        theirs = [
            model(input_ids=torch.tensor([group.prompt + completion])).logits.item()
            for group in groups
            for completion in group.completions
        ]
    assert ours.tolist() == pytest.approx(theirs, abs=1e-5)


def test_it_adapts_the_upper_layers_alone_in_every_stage(make_job: MakeJob, tmp_path: Path) -> None:
    small = {"lora_layers": 1, "batch_size": 4, "epochs": 1.0}
    sft, _, _ = run_job(make_job(tmp_path / "sft", SFTConfig(**small), "demonstrations"))
    # With a parent its layers count, whatever is asked for.
    config = RewardConfig(min_pairs=2, epochs=0.2)
    of_sft = make_job(tmp_path / "reward", config, "preferences", adapter_path=sft)
    score, _, _ = run_job(of_sft)
    paths = {"adapter_path": sft, "reward_path": score}
    policy, _, _ = run_job(make_job(tmp_path / "ppo", SMALL_PPO, "prompts", **paths))
    for folder in (sft, score, policy):
        layers = {name.split(".layers.")[1][0] for name in adapter(folder) if "lora" in name}
        assert layers == {"1"}


def test_it_says_how_many_layers_there_are(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="has 2 layers, fewer than lora_layers 3"):
        run_job(make_job(tmp_path, SFTConfig(lora_layers=3), "demonstrations"))


def test_it_learns_which_completion_people_chose(reward_adapter: str) -> None:
    results = read_manifest(Path(reward_adapter))["results"]
    assert results["heldout_accuracy"] > 0.9
    assert results["heldout_low"] <= results["heldout_accuracy"] <= results["heldout_high"]
    assert results["heldout_pairs"] == 20


def test_it_learns_the_same_whether_a_batch_fits_into_memory_at_once_or_not(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RewardConfig(batch_size=4, learning_rate=1e-3, min_pairs=2)
    at_once, _, _ = run_job(make_job(tmp_path / "whole", config, "preferences"))
    monkeypatch.setattr(reward, "TOKENS_AT_ONCE", 1)
    one_by_one, _, _ = run_job(make_job(tmp_path / "parts", config, "preferences"))
    whole, parts = adapter(at_once), adapter(one_by_one)
    assert whole.keys() == parts.keys()
    for name, weights in whole.items():
        torch.testing.assert_close(parts[name], weights, atol=1e-4, rtol=1e-3)


def test_it_reads_as_many_groups_at_once_as_fit() -> None:
    pair = Pair(0, 1, target=1.0, margin=0.0, agreeing=("",))
    groups = [PreferenceGroup(1, [1] * 10, [[1] * 100, [1] * 20], [pair])]
    assert groups_at_once(groups, 4) == 4
    assert groups_at_once(groups * 2, 64) == 16  # 19 fit, but 64 are divided evenly
    long = [PreferenceGroup(1, [1], [[1] * 9000, [1]], [pair])]
    assert groups_at_once([*groups, *long], 4) == 1


def test_it_gives_ppo_the_same_rewards_as_the_reward_model(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tiny_model: Path, tmp_path: Path
) -> None:
    job = make_job(
        tmp_path, SMALL_PPO, "prompts", adapter_path=sft_adapter, reward_path=reward_adapter
    )
    models = ppo_state.load_models(job, SMALL_PPO)
    base = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, num_labels=1, dtype=torch.float32
    )
    base.config.pad_token_id = AutoTokenizer.from_pretrained(reward_adapter).pad_token_id
    outside = PeftModel.from_pretrained(base, reward_adapter).eval()
    prompts = [[1, 40, 41, 42, 43, 44, 45, 46, 47, 50], [1, 40, 41, 42, 43, 44, 45, 46, 47, 51, 52]]
    tokens, mask = torch.tensor([[60, 61, 2], [70, 2, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    with torch.no_grad(), rollouts.using(models.model, "reward"):
        entered = rollouts.enter(models.split, prompts, tokens, mask, pad=0)
        scores = rollouts.score_completions(models.split, models.score_head, entered)
    with torch.no_grad():
        expected = [
            outside(input_ids=torch.tensor([prompts[0] + [60, 61, 2]])).logits.item(),
            outside(input_ids=torch.tensor([prompts[1] + [70, 2]])).logits.item(),
        ]
    centre = json.loads((Path(reward_adapter) / "centre.json").read_text())["score"]
    assert scores.tolist() == pytest.approx([score - centre for score in expected], abs=1e-5)


@pytest.mark.parametrize("from_sft", [True, False])
def test_it_moves_the_policy_and_nothing_else(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tmp_path: Path, from_sft: bool
) -> None:
    parent = sft_adapter if from_sft else None
    job = make_job(tmp_path, SMALL_PPO, "prompts", adapter_path=parent, reward_path=reward_adapter)
    models = ppo_state.load_models(job, SMALL_PPO)
    frozen = {n: p.clone() for n, p in models.model.named_parameters() if ".policy." not in n}
    policy = {n: p.clone() for n, p in models.model.named_parameters() if ".policy." in n}
    optimizer = torch.optim.AdamW(models.weights.masters.values(), lr=1e-3)
    prompts = data.prompts(data.read_rows(job.data_path), models.tokenizer, ("train",))
    for step in range(2):
        ppo_step.ppo_step(models, optimizer, prompts, SMALL_PPO, step, 0.1)
    now = dict(models.model.named_parameters())
    assert all(torch.equal(now[n], p) for n, p in frozen.items())
    assert all(not torch.equal(now[n], p) for n, p in policy.items())
    assert models.value_head.weight.abs().sum() > 0
    assert len(policy) > 0


def told(events: list[dict[str, Any]]) -> dict[str, list[tuple[str, int, int]]]:
    """Return what each phase counted, by the phase's name."""
    phases: dict[str, list[tuple[str, int, int]]] = {}
    for event in events:
        match event["event"]:
            case "phase":
                counts = phases.setdefault(event["phase"], [])
            case "count":
                counts.append((event["unit"], event["done"], event["total"]))
    return phases


def test_it_tells_how_far_it_is_before_and_after_the_steps(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    sft = SFTConfig(batch_size=4, epochs=0.2)
    counted = told(run_job(make_job(tmp_path / "sft", sft, "demonstrations"))[2])
    assert counted["writing samples"][0] == ("token", 1, samples.MAX_NEW_TOKENS)
    unit, done, total = counted["evaluating"][-1]
    assert (unit, done) == ("batch", total)
    assert not counted["training"]
    ppo_job = make_job(tmp_path / "ppo", SMALL_PPO, "prompts", reward_path=reward_adapter)
    counted = told(run_job(ppo_job)[2])
    assert counted["measuring the reference"][0] == ("token", 1, 8)
    assert counted["measuring the policy"][0] == ("token", 1, 8)


def test_it_samples_for_a_checkpoint_and_its_rival(
    make_job: MakeJob, sft_adapter: str, tmp_path: Path
) -> None:
    config = SampleConfig(completions_per_prompt=3, max_new_tokens=6, batch_size=16)
    job = make_job(tmp_path, config, "prompts", adapter_path=sft_adapter, rival=True)
    output, results, _ = run_job(job)
    rows = [json.loads(line) for line in (Path(output) / "completions.jsonl").open()]
    assert len(rows) == results["completions"] == 40 * 3 * 2
    assert {row["source"] for row in rows} == {"policy", "rival"}
    assert len({(row["prompt_id"], row["source"]) for row in rows}) == 80


def test_it_opens_the_published_policy_with_transformers_and_peft(
    tiny_model: Path, sft_adapter: str
) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, sft_adapter)
    logits = model(input_ids=torch.tensor([[1, 5, 6]])).logits
    assert logits.shape == (1, 3, base.config.vocab_size)


def test_it_refuses_too_few_pairs_with_the_count_and_the_cure(
    make_job: MakeJob, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError, match=r"60 preference pairs .* at least 1000.*Collect more"):
        run_job(make_job(tmp_path, RewardConfig(min_pairs=1000), "preferences"))


def test_it_counts_what_is_too_long_and_does_not_drop_it_in_silence(
    make_job: MakeJob, tmp_path: Path
) -> None:
    rows = preference_rows()
    rows[0]["chosen"][0]["content"] = "pond " * 300
    path = write_rows(tmp_path / "long.jsonl", rows)
    job = make_job(tmp_path, RewardConfig(batch_size=8), "preferences")
    job = Job(**{**vars(job), "data_path": path})
    assert run_job(job)[1]["left_out_too_long"] == 1


@pytest.mark.parametrize(
    ("poisoned_at", "told"),
    [(1, r"first step, before anything was learned"), (2, r"at step 2\. .* lower learning rate")],
)
def test_it_stops_on_a_loss_that_is_not_a_number_and_publishes_nothing(
    make_job: MakeJob,
    reward_adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    poisoned_at: int,
    told: str,
) -> None:
    scored = 0

    def poisoned(*_: object, **__: object) -> torch.Tensor:
        nonlocal scored
        scored += 1
        return torch.full((8,), float("nan") if scored == poisoned_at else 1.0)

    monkeypatch.setattr(ppo_step, "score_completions", poisoned)
    job = make_job(tmp_path, SMALL_PPO, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match=told):
        run_job(job)
    assert not Path(job.output_dir).exists()


@pytest.mark.parametrize("sick", ["base", "checkpoint", "reward"])
def test_weights_that_are_not_numbers_are_told_before_anything_is_reckoned_from_them(
    make_job: MakeJob,
    sft_adapter: str,
    reward_adapter: str,
    tiny_model: Path,
    tmp_path: Path,
    sick: str,
) -> None:
    paths = {"base": str(tiny_model), "checkpoint": sft_adapter, "reward": reward_adapter}
    folder = Path(shutil.copytree(paths[sick], tmp_path / "sick"))
    file = next(folder.glob("*.safetensors"))
    tensors = load_file(file)
    name = min(name for name in tensors if name.endswith(".weight"))
    tensors[name].view(-1)[3] = float("inf")
    save_file(tensors, file, {"format": "pt"})
    if sick != "base":
        seal(folder, read_manifest(folder))
    paths[sick] = str(folder)
    places = {"adapter_path": paths["checkpoint"], "reward_path": paths["reward"]}
    job = replace(make_job(tmp_path, SMALL_PPO, "prompts", **places), base_path=paths["base"])
    events: list[dict[str, Any]] = []
    with pytest.raises(PipelineError, match=rf"The {sick}.*sick has weights that are not numbers"):
        train(job, report=events.append, should_stop=lambda: False)
    assert [e["phase"] for e in events if e["event"] == "phase"] == ["loading the models"]
