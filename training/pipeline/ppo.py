"""PPO with LoRA on one copy of the weights.

Schulman et al. 2017 (arXiv:1707.06347) as Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al.
2022 (arXiv:2203.02155) apply it to language models. The four models of RLHF are one frozen base
with adapters: the reference is the parent's adapter, the policy a trainable copy of it, the reward
model an adapter of its own with a score head, and the value function a linear head on the policy's
trunk, so that policy and value share every pass.

Left out: the mix with the supervised loss (PPO-ptx) and several GPUs in one run.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.pipeline import data, losses
from training.pipeline.checkpoints import newest_whole, publish, read_manifest, remove_all_but
from training.pipeline.config import Job, PPOConfig
from training.pipeline.data import PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import (
    add_policy,
    add_reward,
    load_base,
    load_tokenizer,
    pick_device,
)
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, check_finite
from training.pipeline.rollouts import (
    Entered,
    Sampled,
    enter,
    read_completions,
    sample,
    score_completions,
    using,
)
from training.pipeline.samples import before_and_after, write_samples

ADAM_BETAS = (0.9, 0.95)
"""InstructGPT's, for every stage (appendix C)."""
MAX_GRAD_NORM = 1.0
WARMUP_SHARE = 0.05
"""Share of the steps over which the learning rate rises linearly."""
FINAL_RATE = 0.1
"""Share of the peak learning rate that the linear decay ends at."""
HELD_OUT_PROMPTS = 32
"""Held-out prompts on which the reward is measured before and after."""


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

    def trainable(self) -> list[nn.Parameter]:
        adapter = [p for n, p in self.model.named_parameters() if ".policy." in n]
        return [*adapter, *self.value_head.parameters()]


@dataclass(frozen=True)
class Rollout:
    """One PPO batch: B completions and everything that stays fixed while it is learned from."""

    entered: Entered
    sampled: Sampled
    old_log_probs: Tensor  # (B, T)
    ref_log_probs: Tensor  # (B, T)
    scores: Tensor  # (B,), as the reward model gives them
    advantages: Tensor  # (B, T), whitened
    returns: Tensor  # (B, T)
    kl: float
    """Mean over completions of Σ_t log π − log π_ref, in nats."""


def train(job: Job, config: PPOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy against a reward model and publish it. Return what changed."""
    reporter.phase("loading the models")
    rows = data.read_rows(job.data_path)
    models = load_models(job, config)
    prompts = data.prompts(rows, models.tokenizer, ("train",))
    held_out = data.prompts(rows, models.tokenizer, ("validation",)) or prompts
    if not prompts:
        raise PipelineError(
            "This snapshot has no prompts to train on. Add prompts and freeze again."
        )
    optimizer = torch.optim.AdamW(
        models.trainable(), lr=config.learning_rate, betas=ADAM_BETAS, weight_decay=0.0
    )
    with using(models.model, models.reference):
        before = write_samples(models.model, models.tokenizer, held_out, config.seed, reporter)
        reporter.phase("measuring the reference")
        score_before = held_out_score(models, held_out, config, reporter)
    models.baseline = score_before
    step, kl_coef = resume(job, models, optimizer, config)
    kl = 0.0
    reporter.phase("training")
    reporter.progress(step, config.steps)
    while step < config.steps:
        set_learning_rate(optimizer, config, step)
        metrics = ppo_step(models, optimizer, prompts, config, step, kl_coef)
        kl, step = metrics["objective/kl"], step + 1
        reporter.metrics(step, metrics)
        reporter.progress(step, config.steps)
        if kl > config.max_kl:
            raise PipelineError(
                f"The KL to the reference reached {kl:.1f} nats at step {step}, above max_kl "
                f"{config.max_kl:g}: the policy is running away from the reward model's data. "
                "Raise kl_coef or lower the learning rate and start again."
            )
        if config.target_kl is not None:
            kl_coef = losses.adapted_kl_coef(
                kl_coef, kl, config.target_kl, config.batch_size, config.kl_horizon
            )
        stopping = reporter.should_stop() and step < config.steps
        if stopping or step % config.checkpoint_every == 0:
            save_resume_point(job, models, optimizer, step, kl_coef)
        if stopping:
            raise RunStopped
    after = write_samples(models.model, models.tokenizer, held_out, config.seed, reporter)
    reporter.samples(before_and_after(held_out, before, after))
    reporter.phase("measuring the policy")
    results = {
        "kl": kl,
        "score_before": score_before,
        "score_after": held_out_score(models, held_out, config, reporter),
        "score_prompts": min(len(held_out), HELD_OUT_PROMPTS),
        "episodes": config.steps * config.batch_size,
    }
    reporter.phase("publishing the checkpoint")
    publish_adapter(job, models.model, models.tokenizer, "policy", results)
    return results


def load_models(job: Job, config: PPOConfig) -> Models:
    """Return one copy of the base with policy, reference and reward adapters on it."""
    if job.reward_path is None:
        raise PipelineError("PPO needs a reward model. Train one first and choose it in the form.")
    torch.manual_seed(config.seed)
    tokenizer = load_tokenizer(job.base_path)
    base = load_base(job.base_path)
    model = add_policy(base, job.adapter_path, config)
    reference = None
    if job.adapter_path is not None:
        model.load_adapter(job.adapter_path, adapter_name="reference", is_trainable=False)
        reference = "reference"
    score_head = add_reward(model, job.reward_path)
    model.set_adapter("policy")
    value_head = nn.Linear(base.config.hidden_size, 1).to(pick_device())
    nn.init.zeros_(value_head.weight)
    nn.init.zeros_(value_head.bias)
    model.eval()
    return Models(model, reference, score_head, value_head, tokenizer, split_trunk(model))


def ppo_step(
    models: Models,
    optimizer: torch.optim.Optimizer,
    prompts: list[PromptRow],
    config: PPOConfig,
    step: int,
    kl_coef: float,
) -> dict[str, float]:
    """Sample one batch, learn from it `ppo_epochs` times, return the step's metrics."""
    started = time.monotonic()
    rollout = make_rollout(models, prompts_of_step(prompts, config, step), config, step, kl_coef)
    metrics = learn(models, optimizer, rollout, config, step)
    sampled = rollout.sampled
    metrics |= {
        "objective/kl": rollout.kl,
        "objective/scores": rollout.scores.mean().item(),
        "objective/rlhf_reward": rollout.scores.mean().item() - kl_coef * rollout.kl,
        "completion_length": sampled.mask.sum(dim=1).float().mean().item(),
        "ended": sampled.ended.float().mean().item(),
        "kl_coef": kl_coef,
        "eps": config.batch_size / (time.monotonic() - started),
    }
    return metrics


def prompts_of_step(prompts: list[PromptRow], config: PPOConfig, step: int) -> list[PromptRow]:
    """Return the step's prompts: an endless shuffle that depends on nothing but seed and step."""
    chosen = []
    for position in range(step * config.batch_size, (step + 1) * config.batch_size):
        epoch, offset = divmod(position, len(prompts))
        order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        chosen.append(prompts[int(torch.randperm(len(prompts), generator=order)[offset])])
    return chosen


@torch.no_grad()
def make_rollout(
    models: Models, prompts: list[PromptRow], config: PPOConfig, step: int, kl_coef: float
) -> Rollout:
    """Sample completions, read them under the reference, score them, compute advantages."""
    ids = [prompt.ids for prompt in prompts]
    pad = models.tokenizer.pad_token_id
    sampled = sample(
        models.model,
        ids,
        models.tokenizer,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        generator=torch.Generator().manual_seed(config.seed * 7_368_787 + step),
        value_head=models.value_head,
    )
    tokens, mask = sampled.tokens, sampled.mask
    entered = enter(models.split, ids, tokens, mask, pad=pad)
    old_log_probs, old_values = sampled.log_probs, sampled.values
    if models.model.dtype != torch.float32:
        # in half precision the cached pass rounds differently from the one that learns
        read = read_completions(
            models.model, models.split, entered, temperature=config.temperature,
            value_head=models.value_head,
        )  # fmt: skip
        old_log_probs, old_values = read.log_probs, read.values
    with using(models.model, models.reference):
        reference = read_completions(
            models.model, models.split, entered, temperature=config.temperature
        )
    with using(models.model, "reward"):
        scores = score_completions(models.split, models.score_head, entered)
    centred = scores - models.baseline - config.missing_eos_penalty * (~sampled.ended).float()
    rewards = losses.shaped_rewards(centred, old_log_probs, reference.log_probs, mask, kl_coef)
    if config.whiten_rewards:
        rewards = losses.masked_whiten(rewards, mask, shift_mean=False)
    advantages, returns = losses.gae(rewards, old_values, mask, config.gamma, config.lam)
    kl = ((old_log_probs - reference.log_probs) * mask).sum(dim=1).mean().item()
    return Rollout(
        entered=entered,
        sampled=Sampled(tokens, mask, old_log_probs, old_values, sampled.ended),
        old_log_probs=old_log_probs,
        ref_log_probs=reference.log_probs,
        scores=scores,
        advantages=losses.masked_whiten(advantages, mask),
        returns=returns,
        kl=kl,
    )


def learn(
    models: Models,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: PPOConfig,
    step: int,
) -> dict[str, float]:
    """Make `ppo_epochs` passes over the rollout in shuffled minibatches; return mean metrics."""
    order = torch.Generator().manual_seed(config.seed * 15_485_863 + step)
    seen: list[dict[str, float]] = []
    for _ in range(config.ppo_epochs):
        shuffled = torch.randperm(len(rollout.scores), generator=order)
        for rows in shuffled.split(config.minibatch_size):
            seen.append(update(models, optimizer, rollout, rows, config, step))
    return {name: sum(m[name] for m in seen) / len(seen) for name in seen[0]}


def update(
    models: Models,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    rows: Tensor,
    config: PPOConfig,
    step: int,
) -> dict[str, float]:
    """Take one optimiser step on the rows of a minibatch."""
    entered = rollout.entered.rows(rows)
    read = read_completions(
        models.model,
        models.split,
        entered,
        temperature=config.temperature,
        value_head=models.value_head,
        with_entropy=True,
    )
    mask = entered.mask
    longest = mask.shape[1]
    policy = losses.policy_loss(
        read.log_probs,
        rollout.old_log_probs[rows, :longest],
        rollout.advantages[rows, :longest],
        mask,
        config.clip_range,
    )
    value = losses.value_loss(
        read.values,
        rollout.sampled.values[rows, :longest],
        rollout.returns[rows, :longest],
        mask,
        config.clip_range_value,
    )
    loss = policy.loss + config.value_coef * value
    check_finite("The PPO loss", loss.item(), step + 1, config.learning_rate)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(models.trainable(), MAX_GRAD_NORM).item()
    check_finite("The gradient", norm, step + 1, config.learning_rate)
    optimizer.step()
    return {
        "loss/policy_avg": policy.loss.item(),
        "loss/value_avg": value.item(),
        "policy/clipfrac_avg": policy.clip_fraction.item(),
        "policy/approxkl_avg": policy.approx_kl.item(),
        "val/ratio": policy.ratio.item(),
        "objective/entropy": read.entropy.item(),
        "grad_norm": norm,
    }


def set_learning_rate(optimizer: torch.optim.Optimizer, config: PPOConfig, step: int) -> None:
    """Rise linearly over the first steps, then fall linearly to a tenth."""
    warmup = max(1, round(WARMUP_SHARE * config.steps))
    rising = min(1.0, (step + 1) / warmup)
    falling = 1 - (1 - FINAL_RATE) * step / config.steps
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rising * falling


@torch.no_grad()
def held_out_score(
    models: Models, prompts: list[PromptRow], config: PPOConfig, reporter: Reporter
) -> float:
    """Return the mean reward of the active adapter's completions of held-out prompts."""
    active = models.model.active_adapter
    ids = [prompt.ids for prompt in prompts[:HELD_OUT_PROMPTS]]
    drawn = sample(
        models.model,
        ids,
        models.tokenizer,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        generator=torch.Generator().manual_seed(config.seed + 1),
        after_token=lambda done: reporter.count(done, config.max_new_tokens, "token"),
    )
    with using(models.model, "reward", back=active):
        pad = models.tokenizer.pad_token_id
        entered = enter(models.split, ids, drawn.tokens, drawn.mask, pad=pad)
        scores = score_completions(models.split, models.score_head, entered)
    return scores.mean().item()


def save_resume_point(
    job: Job, models: Models, optimizer: torch.optim.Optimizer, step: int, kl_coef: float
) -> None:
    """Keep all that the next step depends on; random choices depend on seed and step alone."""

    def write(folder: Path) -> None:
        save_file(
            get_peft_model_state_dict(models.model, adapter_name="policy"),
            folder / "policy.safetensors",
        )
        save_file(models.value_head.state_dict(), folder / "value_head.safetensors")
        state, numbers = {}, {}
        for index, values in optimizer.state_dict()["state"].items():
            numbers[str(index)] = float(values["step"])
            for name in ("exp_avg", "exp_avg_sq"):
                state[f"{index}.{name}"] = values[name]
        save_file(state, folder / "optimizer.safetensors")
        (folder / "optimizer.json").write_text(json.dumps(numbers))

    target = Path(job.work_dir) / f"resume-{step}"
    publish(target, write, {"step": step, "kl_coef": kl_coef})
    remove_all_but(target, "resume-*")


def resume(
    job: Job, models: Models, optimizer: torch.optim.Optimizer, config: PPOConfig
) -> tuple[int, float]:
    """Load the newest whole resume point, if any. Return the next step and the KL coefficient."""
    folder = newest_whole(Path(job.work_dir), "resume-*")
    if folder is None:
        return 0, config.kl_coef
    policy = load_file(folder / "policy.safetensors")
    set_peft_model_state_dict(models.model, policy, adapter_name="policy")
    models.value_head.load_state_dict(load_file(folder / "value_head.safetensors"))
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
    return int(manifest["step"]), float(manifest["kl_coef"])
