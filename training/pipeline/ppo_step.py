"""One step of PPO: sample completions, score them, learn from them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean as mean
from typing import TypeVar

import torch
from torch import Tensor, nn

from training.pipeline import losses, processes
from training.pipeline.config import PPOConfig
from training.pipeline.data import Demonstrated, PromptRow
from training.pipeline.guards import Seen
from training.pipeline.ppo_state import Models
from training.pipeline.reporting import check_finite
from training.pipeline.rollouts import (
    Entered,
    Read,
    Sampled,
    enter,
    in_parts,
    pad_right,
    read_completions,
    read_in_parts,
    sample,
    score_completions,
    using,
)
from training.pipeline.watch import seen_of

T = TypeVar("T")
MAX_GRAD_NORM = 1.0
WARMUP_SHARE = 0.05
"""Share of the steps over which the learning rate rises linearly."""
FINAL_RATE = 0.1
"""Share of the peak learning rate that the linear decay ends at."""


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
    seen: Seen
    seconds: dict[str, float]
    """What the parts of making it took."""


def ppo_step(
    models: Models,
    optimizer: torch.optim.Optimizer,
    prompts: list[PromptRow],
    config: PPOConfig,
    step: int,
    kl_coef: float,
    demonstrations: Sequence[Demonstrated] = (),
) -> tuple[dict[str, float], Seen]:
    """Sample one batch, learn from it `ppo_epochs` times.

    Return the step's metrics, and what was seen of the policy before it learned.
    """
    started = time.monotonic()
    rollout = make_rollout(models, prompts_of_step(prompts, config, step), config, step, kl_coef)
    learning = time.monotonic()
    metrics = learn(models, optimizer, rollout, config, step, demonstrations)
    ended = time.monotonic()
    sampled, mask = rollout.sampled, rollout.sampled.mask
    metrics |= {
        "objective/kl": rollout.seen.kl,
        "objective/scores": rollout.scores.mean().item(),
        "objective/rlhf_reward": rollout.scores.mean().item() - kl_coef * rollout.seen.kl,
        "val/explained_variance": losses.explained_variance(sampled.values, rollout.returns, mask),
        "completion_length": rollout.seen.length,
        "ended": sampled.ended.float().mean().item(),
        "kl_coef": kl_coef,
        "eps": config.batch_size / (ended - started),
        "seconds/optimisation": ended - learning,
    }
    metrics |= {f"seconds/{part}": seconds for part, seconds in rollout.seconds.items()}
    return metrics, rollout.seen


def prompts_of_step(prompts: list[PromptRow], config: PPOConfig, step: int) -> list[PromptRow]:
    """Return the step's prompts."""
    first = step * config.batch_size
    return shuffled(prompts, first, config.batch_size, config.seed * 1_000_003)


def shuffled(items: Sequence[T], first: int, count: int, seed: int) -> list[T]:
    """Return `count` items of an endless shuffle from position `first` on.

    It depends on the seed alone, so that a resumed run goes on where it was.
    """
    orders: dict[int, list[int]] = {}
    chosen = []
    for position in range(first, first + count):
        epoch, offset = divmod(position, len(items))
        if epoch not in orders:
            generator = torch.Generator().manual_seed(seed + epoch)
            orders[epoch] = torch.randperm(len(items), generator=generator).tolist()
        chosen.append(items[orders[epoch][offset]])
    return chosen


@torch.no_grad()
def make_rollout(
    models: Models, prompts: list[PromptRow], config: PPOConfig, step: int, kl_coef: float
) -> Rollout:
    """Sample completions, read them under the reference, score them, compute advantages.

    Each process of the run does so for its share of the prompts; all of them have all of it then.
    """
    started = time.monotonic()
    everyone = [prompt.ids for prompt in prompts]
    ids = everyone[processes.own(len(everyone))]
    sampled = draw(models, ids, config, step)
    scoring = time.monotonic()
    pad = models.tokenizer.pad_token_id
    entered = enter(models.split, ids, sampled.tokens, sampled.mask, pad=pad)
    old_log_probs, old_values = sampled.log_probs, sampled.values
    if models.engine is not None or models.model.dtype != torch.float32:
        # vLLM and, in half precision, the cached pass round otherwise than the one that learns
        read = read_policy(models, entered, config)
        old_log_probs, old_values = read.log_probs, read.values
    with using(models.model, models.reference):
        reference = read_in_parts(
            models.model, models.split, entered, temperature=config.temperature
        )
    with using(models.model, "reward"):
        scores = score_completions(models.split, models.score_head, entered)
    tokens = processes.put_together(sampled.tokens, fill=pad)
    mask, old_log_probs, old_values, ref_log_probs, scores, ended = map(
        processes.put_together,
        (sampled.mask, old_log_probs, old_values, reference.log_probs, scores, sampled.ended),
    )
    if processes.count() > 1:
        entered = enter(models.split, everyone, tokens, mask, pad=pad)
    centred = scores - models.baseline - config.missing_eos_penalty * (~ended).float()
    rewards = losses.shaped_rewards(
        centred, old_log_probs, ref_log_probs, mask, kl_coef, config.kl_estimator
    )
    if config.whiten_rewards:
        rewards = losses.masked_whiten(rewards, mask, shift_mean=False)
    advantages, returns = losses.gae(rewards, old_values, mask, config.gamma, config.lam)
    return Rollout(
        entered=entered,
        sampled=Sampled(tokens, mask, old_log_probs, old_values, ended),
        old_log_probs=old_log_probs,
        ref_log_probs=ref_log_probs,
        scores=scores,
        advantages=losses.masked_whiten(advantages, mask),
        returns=returns,
        seen=seen_of(old_log_probs, ref_log_probs, mask),
        seconds={"rollout": scoring - started, "scoring": time.monotonic() - scoring},
    )


def draw(models: Models, ids: list[list[int]], config: PPOConfig, step: int) -> Sampled:
    """Return a completion by the policy of each prompt of this process's share."""
    generator = torch.Generator().manual_seed(config.seed * 7_368_787 + step)
    if models.engine is not None:
        return models.engine.draw(models.model, ids, models.tokenizer, config, step, generator)
    return sample(
        models.model,
        ids,
        models.tokenizer,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        generator=generator,
        value_head=models.value_head,
        among=(processes.own(config.batch_size).start, config.batch_size),
    )


def read_policy(models: Models, entered: Entered, config: PPOConfig) -> Read:
    """Return log-probs and values of completions under the active adapter."""
    return read_in_parts(
        models.model,
        models.split,
        entered,
        temperature=config.temperature,
        value_head=models.value_head,
    )


def learn(
    models: Models,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: PPOConfig,
    step: int,
    demonstrations: Sequence[Demonstrated] = (),
) -> dict[str, float]:
    """Make `ppo_epochs` passes over the rollout in shuffled minibatches; return mean metrics."""
    order = torch.Generator().manual_seed(config.seed * 15_485_863 + step)
    seen: list[dict[str, float]] = []
    updates = config.ppo_epochs * (config.batch_size // config.minibatch_size)
    for epoch in range(config.ppo_epochs):
        permutation = torch.randperm(len(rollout.scores), generator=order)
        for number, rows in enumerate(permutation.split(config.minibatch_size)):
            position = step * updates + epoch * (updates // config.ppo_epochs) + number
            shown = demonstrations_of_update(demonstrations, config, position)
            first = epoch == 0  # the entropy is that of the policy which drew the rollout
            seen.append(
                update(
                    models,
                    optimizer,
                    rollout,
                    rows,
                    config,
                    step,
                    shown,
                    with_entropy=first,
                    learned=position > 0,
                )
            )
    return {name: mean(m[name] for m in seen if name in m) for name in seen[0]}


def demonstrations_of_update(
    demonstrations: Sequence[Demonstrated], config: PPOConfig, position: int
) -> list[Demonstrated]:
    """Return as many demonstrations as an update has episodes; none where none are mixed in."""
    if not demonstrations:
        return []
    size = config.minibatch_size
    return shuffled(demonstrations, position * size, size, config.seed * 32_452_843)


def update(
    models: Models,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    rows: Tensor,
    config: PPOConfig,
    step: int,
    demonstrations: Sequence[Demonstrated] = (),
    *,
    with_entropy: bool = False,
    learned: bool = True,
) -> dict[str, float]:
    """Take one optimiser step on the rows of a minibatch.

    Each micro-batch counts by its share of the minibatch's tokens: the gradient and the metrics
    are those of the minibatch at once, summed over the run's processes, which have a share each.
    """

    def expect_number(name: str, value: float) -> None:
        check_finite(name, value, step + 1, config.learning_rate, learned=learned)

    models.weights.forget_gradients()
    metrics: dict[str, float] = {}
    tokens = rollout.entered.mask[rows].sum()
    own = rows[processes.own(len(rows))]
    for part in in_parts(rollout.entered, own, config.micro_batch_size):
        share = (rollout.entered.mask[part].sum() / tokens).item()
        loss, seen = surrogate(models, rollout, part, config, with_entropy=with_entropy)
        expect_number("The PPO loss", loss.item())
        (share * loss).backward()
        for name, value in seen.items():
            metrics[name] = metrics.get(name, 0.0) + share * value
    if demonstrations:
        metrics["loss/ptx_avg"] = imitate(models, demonstrations, config)
        expect_number("The ptx loss", metrics["loss/ptx_avg"])
    metrics = processes.added_up(metrics)
    models.weights.collect_gradients()
    masters = list(models.weights.masters.values())
    processes.add_up(master.grad for master in masters)
    norm = nn.utils.clip_grad_norm_(masters, MAX_GRAD_NORM).item()
    expect_number("The gradient", norm)
    optimizer.step()
    models.weights.spread()
    return {**metrics, "grad_norm": norm}


def surrogate(
    models: Models, rollout: Rollout, rows: Tensor, config: PPOConfig, *, with_entropy: bool
) -> tuple[Tensor, dict[str, float]]:
    """Return the PPO loss of some rows, and what an engineer watches about it."""
    entered = rollout.entered.rows(rows)
    mask = entered.mask
    longest = mask.shape[1]
    read = read_completions(
        models.model,
        models.split,
        entered,
        temperature=config.temperature,
        value_head=models.value_head,
        with_entropy=with_entropy,
        recompute=config.gradient_checkpointing,
    )
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
    seen = {
        "loss/policy_avg": policy.loss.item(),
        "loss/value_avg": value.item(),
        "policy/clipfrac_avg": policy.clip_fraction.item(),
        "policy/approxkl_avg": policy.approx_kl.item(),
        "val/ratio": policy.ratio.item(),
    }
    if with_entropy:
        seen["objective/entropy"] = read.entropy.item()
    return policy.loss + config.value_coef * value, seen


def imitate(models: Models, shown: Sequence[Demonstrated], config: PPOConfig) -> float:
    """Add the gradient of the supervised loss on demonstrations; return that loss.

    Of several processes each adds its share. At temperature 1, whatever the policy samples at: it
    is the language model's own loss.
    """
    pad, device = models.tokenizer.pad_token_id, models.value_head.weight.device
    tokens, mask = pad_right([d.completion for d in shown], pad, device)
    entered = enter(models.split, [d.prompt for d in shown], tokens, mask, pad=pad)
    own = torch.arange(len(shown), device=device)[processes.own(len(shown))]
    total = 0.0
    for part in in_parts(entered, own, config.micro_batch_size):
        some = entered.rows(part)
        read = read_completions(
            models.model, models.split, some, recompute=config.gradient_checkpointing
        )
        loss = losses.ptx_loss(read.log_probs, some.mask) * (some.mask.sum() / mask.sum())
        (config.ptx_coef * loss).backward()
        total += loss.item()
    return total


def set_learning_rate(optimizer: torch.optim.Optimizer, config: PPOConfig, step: int) -> None:
    """Rise linearly over the first steps, then fall linearly to a tenth."""
    warmup = max(1, round(WARMUP_SHARE * config.steps))
    rising = min(1.0, (step + 1) / warmup)
    falling = 1 - (1 - FINAL_RATE) * step / config.steps
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rising * falling
