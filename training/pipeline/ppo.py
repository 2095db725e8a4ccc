"""PPO with LoRA on one copy of the weights.

Schulman et al. 2017 (arXiv:1707.06347) as Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al.
2022 (arXiv:2203.02155) apply it to language models. The four models of RLHF are one frozen base
with adapters: the reference is the parent's adapter, the policy a trainable copy of it, the reward
model an adapter of its own with a score head, and the value function a linear head on the policy's
trunk, so that policy and value share every pass.

A run stops itself when the policy runs away (`training.pipeline.guards`) and publishes the newest
one from before. Left out: several GPUs in one run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean as mean
from typing import Any, TypeVar

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.pipeline import data, losses
from training.pipeline.checkpoints import newest_whole, publish, read_manifest, remove_all_but
from training.pipeline.config import Job, PPOConfig
from training.pipeline.data import Demonstrated, PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.guards import Guards, Seen
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import (
    add_policy,
    add_reward,
    check_reward_fits,
    load_base,
    load_tokenizer,
    pick_device,
)
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, check_finite
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
from training.pipeline.samples import before_and_after, write_samples
from training.pipeline.weights import MasterWeights

T = TypeVar("T")

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
    weights: MasterWeights = field(init=False)
    """What is trained: the policy's adapter and the value head."""

    def __post_init__(self) -> None:
        policy = {n: p for n, p in self.model.named_parameters() if ".policy." in n}
        value = {f"value_head.{n}": p for n, p in self.value_head.named_parameters()}
        self.weights = MasterWeights({**policy, **value})


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


@dataclass(frozen=True)
class Kept:
    """A policy from before any slide."""

    step: int
    """Rollout steps that it had learned from."""
    seen: Seen
    weights: dict[str, Tensor]


@dataclass
class Progress:
    """Where the run stands, beside the weights and the optimiser: what a resume point holds."""

    step: int
    kl_coef: float
    reference_length: float | None = None
    """Mean length of the first rollout's completions: the policy was the reference then."""
    kept: Kept | None = None


@dataclass(frozen=True)
class Measured:
    """What the active adapter's completions of held-out prompts are like."""

    score: float
    seen: Seen


def train(job: Job, config: PPOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy against a reward model and publish it. Return what changed."""
    reporter.phase("loading the models")
    rows = data.read_rows(job.data_path)
    models = load_models(job, config)
    prompts = data.prompts(rows, models.tokenizer, ("train",))
    held_out = data.prompts(rows, models.tokenizer, ("validation",)) or prompts
    demonstrations = demonstrations_for(config, rows, models.tokenizer)
    check_prompts(models, prompts, demonstrations, config)
    optimizer = torch.optim.AdamW(
        models.weights.masters.values(), lr=config.learning_rate, betas=ADAM_BETAS, weight_decay=0.0
    )
    with using(models.model, models.reference):
        before = write_samples(models.model, models.tokenizer, held_out, config.seed, reporter)
    reporter.phase("measuring the reference")
    reference = measure(models, models.reference, held_out, config, reporter)
    models.baseline = reference.score
    progress = resume(job, models, optimizer, config)
    alarm = train_until_alarm(
        job, models, optimizer, prompts, demonstrations, config, progress, reporter
    )
    after = write_samples(models.model, models.tokenizer, held_out, config.seed, reporter)
    samples = before_and_after(held_out, before, after)
    results: dict[str, Any] = {"episodes": progress.step * config.batch_size}
    if alarm is not None:
        results |= go_back(models, progress, config, alarm)
        kept = write_samples(models.model, models.tokenizer, held_out, config.seed, reporter)
        samples = with_slid(samples, kept)
    reporter.samples(samples)
    reporter.phase("measuring the policy")
    policy = measure(models, "policy", held_out, config, reporter)
    results |= {
        "kl": policy.seen.kl,
        "score_before": reference.score,
        "score_after": policy.score,
        "score_prompts": min(len(held_out), HELD_OUT_PROMPTS),
        "length_before": reference.seen.length,
        "length_after": policy.seen.length,
    }
    reporter.phase("publishing the checkpoint")
    models.weights.lay_down()
    publish_adapter(job, models.model, models.tokenizer, "policy", results)
    return results


def train_until_alarm(
    job: Job,
    models: Models,
    optimizer: torch.optim.Optimizer,
    prompts: list[PromptRow],
    demonstrations: list[Demonstrated],
    config: PPOConfig,
    progress: Progress,
    reporter: Reporter,
) -> str | None:
    """Make the steps that are left; return what went too far where a guard ended them."""
    alarm = None
    reporter.phase("training")
    reporter.progress(progress.step, config.steps)
    while progress.step < config.steps:
        set_learning_rate(optimizer, config, progress.step)
        weights = models.weights.kept()
        metrics, seen = ppo_step(
            models, optimizer, prompts, config, progress.step, progress.kl_coef, demonstrations
        )
        alarm = watch(guards_of(config), progress, Kept(progress.step, seen, weights))
        progress.step += 1
        reporter.metrics(progress.step, metrics)
        reporter.progress(progress.step, config.steps)
        if config.target_kl is not None:
            progress.kl_coef = losses.adapted_kl_coef(
                progress.kl_coef, seen.kl, config.target_kl, config.batch_size, config.kl_horizon
            )
        if alarm is not None:
            break  # without a resume point: a slid policy is not to be gone on with
        stopping = reporter.should_stop() and progress.step < config.steps
        if stopping or progress.step % config.checkpoint_every == 0:
            save_resume_point(job, models, optimizer, progress)
        if stopping:
            raise RunStopped
    return alarm


def guards_of(config: PPOConfig) -> Guards:
    """Return the limits at which the run stops itself."""
    return Guards(config.max_kl, config.max_length_ratio)


def demonstrations_for(
    config: PPOConfig, rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
) -> list[Demonstrated]:
    """Return what PPO-ptx mixes in. Raise PipelineError where it is asked for and not there."""
    if config.ptx_coef == 0:
        return []
    found = data.demonstrated(rows, tokenizer, "train")
    if not found:
        raise PipelineError(
            f"ptx_coef is {config.ptx_coef:g}, but the snapshot has no demonstrations to mix in. "
            "Let people write some and freeze prompts again, or set ptx_coef to 0."
        )
    return found


def check_prompts(
    models: Models,
    prompts: list[PromptRow],
    demonstrations: list[Demonstrated],
    config: PPOConfig,
) -> None:
    """Raise PipelineError unless there are prompts and all that is read fits into the context."""
    if not prompts:
        raise PipelineError(
            "This snapshot has no prompts to train on. Add prompts and freeze again."
        )
    context = getattr(models.model.config, "max_position_embeddings", None)
    longest = max(len(prompt.ids) for prompt in prompts) + config.max_new_tokens
    if context is not None and longest > context:
        raise PipelineError(
            f"The longest prompt and a completion of max_new_tokens {config.max_new_tokens} make "
            f"{longest} tokens; the base model reads {context}. Lower max_new_tokens, or leave the "
            "longest prompts out."
        )
    longest = max((len(d.prompt) + len(d.completion) for d in demonstrations), default=0)
    if context is not None and longest > context:
        raise PipelineError(
            f"The longest demonstration has {longest} tokens with its prompt; the base model reads "
            f"{context}. Leave it out, or set ptx_coef to 0."
        )


def watch(guards: Guards, progress: Progress, policy: Kept) -> str | None:
    """Return why the run must stop, if it must; keep the policy if it is from before any slide."""
    if progress.reference_length is None:
        progress.reference_length = policy.seen.length
    if guards.is_calm(policy.seen, progress.reference_length):
        progress.kept = policy
    return guards.alarm(policy.seen, progress.reference_length)


def with_slid(samples: list[dict[str, str]], kept: list[str]) -> list[dict[str, str]]:
    """Return the samples with the kept policy's as "after", and what the run had come to beside."""
    return [
        {**row, "after": text, "slid": row["after"]}
        for row, text in zip(samples, kept, strict=True)
    ]


def go_back(models: Models, progress: Progress, config: PPOConfig, why: str) -> dict[str, Any]:
    """Take the policy back to before the slide; return what the engineer is told about it.

    Raise PipelineError where that is the reference itself, which is no news.
    """
    kept = progress.kept
    if kept is None or kept.step == 0:
        raise PipelineError(
            f"The run stopped itself at step {progress.step} of {config.steps}: {why} There is no "
            "policy from before the slide but the one that it started from, so nothing was "
            "published."
        )
    models.weights.restore(kept.weights)
    return {
        "stopped_early": (
            f"The run stopped itself at step {progress.step} of {config.steps}: {why} Published is "
            f"the policy of step {kept.step}, the last from before the slide: {kept.seen.kl:.1f} "
            f"nats and {kept.seen.length:.1f} tokens a completion in its rollout."
        ),
        "published_step": kept.step,
    }


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
    """Sample completions, read them under the reference, score them, compute advantages."""
    started = time.monotonic()
    ids = [prompt.ids for prompt in prompts]
    sampled = sample(
        models.model,
        ids,
        models.tokenizer,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        generator=torch.Generator().manual_seed(config.seed * 7_368_787 + step),
        value_head=models.value_head,
    )
    scoring = time.monotonic()
    tokens, mask = sampled.tokens, sampled.mask
    entered = enter(models.split, ids, tokens, mask, pad=models.tokenizer.pad_token_id)
    old_log_probs, old_values = sampled.log_probs, sampled.values
    if models.model.dtype != torch.float32:
        # in half precision the cached pass rounds differently from the one that learns
        read = read_policy(models, entered, config)
        old_log_probs, old_values = read.log_probs, read.values
    with using(models.model, models.reference):
        reference = read_in_parts(
            models.model, models.split, entered, temperature=config.temperature
        )
    with using(models.model, "reward"):
        scores = score_completions(models.split, models.score_head, entered)
    centred = scores - models.baseline - config.missing_eos_penalty * (~sampled.ended).float()
    rewards = losses.shaped_rewards(
        centred, old_log_probs, reference.log_probs, mask, kl_coef, config.kl_estimator
    )
    if config.whiten_rewards:
        rewards = losses.masked_whiten(rewards, mask, shift_mean=False)
    advantages, returns = losses.gae(rewards, old_values, mask, config.gamma, config.lam)
    return Rollout(
        entered=entered,
        sampled=Sampled(tokens, mask, old_log_probs, old_values, sampled.ended),
        old_log_probs=old_log_probs,
        ref_log_probs=reference.log_probs,
        scores=scores,
        advantages=losses.masked_whiten(advantages, mask),
        returns=returns,
        seen=seen_of(old_log_probs, reference.log_probs, mask),
        seconds={"rollout": scoring - started, "scoring": time.monotonic() - scoring},
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


def seen_of(log_probs: Tensor, ref_log_probs: Tensor, mask: Tensor) -> Seen:
    """Return how far completions went: Σ_t log π − log π_ref and their tokens, as means."""
    kl = ((log_probs - ref_log_probs) * mask).sum(dim=1).mean().item()
    lengths = mask.sum(dim=1).float()
    error = lengths.std().item() / len(lengths) ** 0.5 if len(lengths) > 1 else 0.0
    return Seen(kl, lengths.mean().item(), error)


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
                update(models, optimizer, rollout, rows, config, step, shown, with_entropy=first)
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
) -> dict[str, float]:
    """Take one optimiser step on the rows of a minibatch.

    Each micro-batch counts by its share of the minibatch's tokens: the gradient and the metrics
    are those of the minibatch at once.
    """
    models.weights.forget_gradients()
    metrics: dict[str, float] = {}
    tokens = rollout.entered.mask[rows].sum()
    for part in in_parts(rollout.entered, rows, config.micro_batch_size):
        share = (rollout.entered.mask[part].sum() / tokens).item()
        loss, seen = surrogate(models, rollout, part, config, with_entropy=with_entropy)
        check_finite("The PPO loss", loss.item(), step + 1, config.learning_rate)
        (share * loss).backward()
        for name, value in seen.items():
            metrics[name] = metrics.get(name, 0.0) + share * value
    if demonstrations:
        metrics["loss/ptx_avg"] = imitate(models, demonstrations, config)
        check_finite("The ptx loss", metrics["loss/ptx_avg"], step + 1, config.learning_rate)
    models.weights.collect_gradients()
    masters = list(models.weights.masters.values())
    norm = nn.utils.clip_grad_norm_(masters, MAX_GRAD_NORM).item()
    check_finite("The gradient", norm, step + 1, config.learning_rate)
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

    At temperature 1, whatever the policy samples at: it is the language model's own loss.
    """
    pad, device = models.tokenizer.pad_token_id, models.value_head.weight.device
    tokens, mask = pad_right([d.completion for d in shown], pad, device)
    entered = enter(models.split, [d.prompt for d in shown], tokens, mask, pad=pad)
    everything = torch.arange(len(shown), device=device)
    total = 0.0
    for part in in_parts(entered, everything, config.micro_batch_size):
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


@torch.no_grad()
def measure(
    models: Models,
    adapter: str | None,
    prompts: list[PromptRow],
    config: PPOConfig,
    reporter: Reporter,
) -> Measured:
    """Return reward, KL and length of an adapter's completions of held-out prompts."""
    ids = [prompt.ids for prompt in prompts[:HELD_OUT_PROMPTS]]
    with using(models.model, adapter):
        drawn = sample(
            models.model,
            ids,
            models.tokenizer,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            generator=torch.Generator().manual_seed(config.seed + 1),
            after_token=lambda done: reporter.count(done, config.max_new_tokens, "token"),
        )
    pad = models.tokenizer.pad_token_id
    entered = enter(models.split, ids, drawn.tokens, drawn.mask, pad=pad)
    with using(models.model, models.reference):
        reference = read_in_parts(
            models.model, models.split, entered, temperature=config.temperature
        )
    with using(models.model, "reward"):
        scores = score_completions(models.split, models.score_head, entered)
    seen = seen_of(drawn.log_probs, reference.log_probs, drawn.mask)
    return Measured(scores.mean().item(), seen)


def save_resume_point(
    job: Job, models: Models, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Keep all that the next step depends on; random choices depend on seed and step alone."""
    manifest: dict[str, Any] = {
        "step": progress.step,
        "kl_coef": progress.kl_coef,
        "reference_length": progress.reference_length,
    }
    if progress.kept is not None:
        manifest["kept"] = {"step": progress.kept.step, "seen": asdict(progress.kept.seen)}

    def write(folder: Path) -> None:
        save_file(models.weights.kept(), folder / "trained.safetensors")
        if progress.kept is not None:
            save_file(progress.kept.weights, folder / "kept.safetensors")
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
    kept = None
    if "kept" in manifest:
        weights = load_file(folder / "kept.safetensors")
        kept = Kept(int(manifest["kept"]["step"]), Seen(**manifest["kept"]["seen"]), weights)
    return Progress(
        int(manifest["step"]), float(manifest["kl_coef"]), manifest["reference_length"], kept
    )
