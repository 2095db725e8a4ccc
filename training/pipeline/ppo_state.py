"""What a PPO run has in memory, and how it is kept between steps and over restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedTokenizerBase

from training.pipeline.checkpoints import newest_whole, publish, read_manifest, remove_all_but
from training.pipeline.config import PPOConfig
from training.pipeline.jobs import Job
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import (
    add_policy,
    add_reward,
    check_reward_fits,
    load_base,
    load_tokenizer,
    pick_device,
)
from training.pipeline.vllm_rollouts import Engine
from training.pipeline.watch import Watch
from training.pipeline.weights import MasterWeights


@dataclass
class Models:
    """One base, its adapters and the two heads."""

    model: PeftModel
    reference: str | None
    """Name of the reference's adapter; None where the reference is the bare base."""
    score_head: nn.Module
    value_head: nn.Linear
    tokenizer: PreTrainedTokenizerBase
    split: Split
    baseline: float = 0.0
    """The reference's mean score on held-out prompts, taken off every score.

    A reward model's zero is arbitrary. Were it far off, the untrained value head would be wrong by
    as much, and advantages would tell early tokens from late ones instead of good from bad. With
    it the reference averages 0, as InstructGPT shifts its reward model (arXiv:2203.02155, §3.5).
    """
    engine: Engine | None = None
    """What draws completions in place of our own passes, where that was asked for."""
    weights: MasterWeights = field(init=False)
    """What is trained: the policy's adapter and the value head."""

    def __post_init__(self) -> None:
        policy = {n: p for n, p in self.model.named_parameters() if ".policy." in n}
        value = {f"value_head.{n}": p for n, p in self.value_head.named_parameters()}
        self.weights = MasterWeights({**policy, **value})


@dataclass
class Progress:
    """Where the run stands, beside the weights and the optimiser: what a resume point holds."""

    step: int
    kl_coef: float
    watch: Watch = field(default_factory=Watch)


def load_models(job: Job, config: PPOConfig) -> Models:
    """Return one copy of the base with policy, reference and reward adapters on it."""
    tokenizer = load_tokenizer(job.base_path)
    reward_path = check_reward_fits(tokenizer, job)
    torch.manual_seed(config.seed)  # a new adapter begins at random
    base = load_base(job.base_path)
    model = add_policy(base, job.adapter_path, config)
    reference = None
    if job.adapter_path is not None:
        model.load_adapter(job.adapter_path, adapter_name="reference", is_trainable=False)
        reference = "reference"
    score_head = add_reward(model, reward_path)
    model.set_adapter("policy")
    for name, parameter in model.named_parameters():
        if "lora_" in name:  # PEFT keeps them in float32: every pass would convert to and fro
            parameter.data = parameter.data.to(base.dtype)
    value_head = nn.Linear(base.config.hidden_size, 1).to(pick_device())
    nn.init.zeros_(value_head.weight)
    nn.init.zeros_(value_head.bias)
    model.eval()
    return Models(model, reference, score_head, value_head, tokenizer, split_trunk(model))


def save_resume_point(
    job: Job, models: Models, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Keep all that the next step depends on; random choices depend on seed and step alone."""
    manifest: dict[str, Any] = {"step": progress.step, "kl_coef": progress.kl_coef}

    def write(folder: Path) -> None:
        save_file(models.weights.kept(), folder / "trained.safetensors")
        progress.watch.save(folder)
        state, numbers = {}, {}
        for index, values in optimizer.state_dict()["state"].items():
            numbers[str(index)] = float(values["step"])
            for name in ("exp_avg", "exp_avg_sq"):
                state[f"{index}.{name}"] = values[name]
        save_file(state, folder / "optimizer.safetensors")
        (folder / "optimizer.json").write_text(json.dumps(numbers))

    target = Path(job.work_dir) / f"resume-{progress.step}"
    publish(target, write, manifest)
    remove_all_but(target, "resume-*")


def resume(
    job: Job, models: Models, optimizer: torch.optim.Optimizer, config: PPOConfig
) -> Progress:
    """Load the newest whole resume point, if any. Return where the run stands."""
    folder = newest_whole(Path(job.work_dir), "resume-*")
    if folder is None:
        return Progress(0, config.kl_coef)
    models.weights.restore(load_file(folder / "trained.safetensors"))
    state = load_file(folder / "optimizer.safetensors")
    numbers = json.loads((folder / "optimizer.json").read_text())
    whole = optimizer.state_dict()
    whole["state"] = {
        int(index): {
            "step": torch.tensor(count),
            "exp_avg": state[f"{index}.exp_avg"],
            "exp_avg_sq": state[f"{index}.exp_avg_sq"],
        }
        for index, count in numbers.items()
    }
    optimizer.load_state_dict(whole)
    manifest = read_manifest(folder)
    return Progress(int(manifest["step"]), float(manifest["kl_coef"]), Watch.load(folder))
