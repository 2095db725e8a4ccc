"""PPO with LoRA on one copy of the weights.

Schulman et al. 2017 (arXiv:1707.06347) as Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al.
2022 (arXiv:2203.02155) apply it to language models. The four models of RLHF are one frozen base
with adapters: the reference is the parent's adapter, the policy a trainable copy of it, the reward
model an adapter of its own with a score head, and the value function a linear head on the policy's
trunk, so that policy and value share every pass.

A run stops itself when the policy runs away (`training.pipeline.guards`) and publishes the newest
one from before. It is told to stop when people part from the reward (`ppo_radar`). Several
processes share the episodes of each step (`training.pipeline.processes`); each has the whole base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from training.pipeline import data, losses, processes
from training.pipeline.config import PPOConfig
from training.pipeline.data import Demonstrated, PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.guards import Guards, Seen
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.ppo_radar import SPLIT, Radar, prompts_for
from training.pipeline.ppo_state import (
    Models,
    Progress,
    load_models,
    resume,
    save_resume_point,
)
from training.pipeline.ppo_step import ppo_step, set_learning_rate
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import (
    enter,
    read_in_parts,
    sample,
    score_completions,
    using,
)
from training.pipeline.samples import FixedPrompts, steps_to_look_at, write_samples
from training.pipeline.vllm_rollouts import Engine
from training.pipeline.watch import Kept, seen_of, stopped_early, with_slid

ADAM_BETAS = (0.9, 0.95)
"""InstructGPT's, for every stage (appendix C)."""
HELD_OUT_PROMPTS = 32
"""Held-out prompts on which the reward is measured before and after."""


@dataclass(frozen=True)
class Measured:
    """What the active adapter's completions of held-out prompts are like."""

    score: float
    seen: Seen


def train(job: Job, config: PPOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy against a reward model and publish it. Return what changed."""
    with processes.together():
        return _train(job, config, reporter)


def _train(job: Job, config: PPOConfig, reporter: Reporter) -> dict[str, Any]:
    reporter.phase("loading the models")
    rows = data.read_rows(job.data_path)
    models = load_models(job, config)
    prompts = data.prompts(rows, models.tokenizer, ("train",))
    validation = data.prompts(rows, models.tokenizer, (SPLIT,))
    held_out = validation or prompts
    radar = Radar(job, models, prompts_for(validation, config), config, reporter)
    demonstrations = demonstrations_for(config, rows, models.tokenizer)
    check_prompts(models, prompts, radar.prompts, demonstrations, config)
    if config.rollouts == "vllm":
        reporter.phase("starting vLLM")
        longest = max(len(prompt.ids) for prompt in prompts)
        models.engine = Engine(job, config, models.model, longest)
    optimizer = torch.optim.AdamW(
        models.weights.masters.values(), lr=config.learning_rate, betas=ADAM_BETAS, weight_decay=0.0
    )
    answers = FixedPrompts.of(job, config, models.tokenizer, held_out, reporter)
    with using(models.model, models.reference):
        answers.begin(models.model)
    reporter.phase("measuring the reference")
    reference = measure(models, models.reference, held_out, config, reporter)
    models.baseline = processes.of_first(reference.score)
    progress = resume(job, models, optimizer, config)
    alarm = train_until_alarm(
        job, models, optimizer, prompts, demonstrations, config, progress, reporter, radar, answers
    )
    answers.answer(models.model, progress.step)
    results: dict[str, Any] = {"episodes": progress.step * config.batch_size}
    if alarm is not None:
        steps = progress.step, config.steps
        calm = progress.watch.calm_policy(alarm, *steps)
        models.weights.restore(calm.weights)
        results |= stopped_early(calm, alarm, *steps)
        if is_first():
            kept = write_samples(models.model, models.tokenizer, held_out, config.seed, reporter)
            reporter.samples(with_slid(answers.rows(), kept))
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
    if is_first():
        publish_adapter(job, models.model, models.tokenizer, "policy", results)
    processes.any_process(False)
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
    radar: Radar,
    answers: FixedPrompts,
) -> str | None:
    """Make the steps that are left; return why, where a guard or people ended them."""
    radar.tell_again()
    alarm = radar.told(progress)
    guards = Guards(config.max_kl, config.max_length_ratio)
    reporter.phase("training")
    reporter.progress(progress.step, config.steps)
    looks = steps_to_look_at(config.steps)
    while alarm is None and progress.step < config.steps:
        if progress.step in looks and progress.step not in answers.answers:
            answers.answer(models.model, progress.step)
            reporter.phase("training")
            reporter.progress(progress.step, config.steps)
        set_learning_rate(optimizer, config, progress.step)
        weights = models.weights.kept()
        metrics, seen = ppo_step(
            models, optimizer, prompts, config, progress.step, progress.kl_coef, demonstrations
        )
        policy = Kept(progress.step, seen, weights)
        alarm = progress.watch.look(guards, policy)
        progress.step += 1
        reporter.metrics(progress.step, metrics)
        reporter.progress(progress.step, config.steps)
        if config.target_kl is not None:
            progress.kl_coef = losses.adapted_kl_coef(
                progress.kl_coef, seen.kl, config.target_kl, config.batch_size, config.kl_horizon
            )
        if alarm is None:
            radar.watch(policy)
            alarm = radar.told(progress)
        if alarm is not None:
            break  # without a resume point: a slid policy is not to be gone on with
        stopping = processes.any_process(reporter.should_stop()) and progress.step < config.steps
        # Whoever stops the run while it answers loses no step.
        is_due = progress.step % config.checkpoint_every == 0 or progress.step in looks
        if stopping or is_due:
            if is_first():
                save_resume_point(job, models, optimizer, progress)
            processes.any_process(False)  # the others wait until it is whole
        if stopping:
            raise RunStopped
    return alarm


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
    asked: list[PromptRow],
    demonstrations: list[Demonstrated],
    config: PPOConfig,
) -> None:
    """Raise PipelineError unless there are prompts and all that is read fits into the context."""
    if not prompts:
        raise PipelineError(
            "This snapshot has no prompts to train on. Add prompts and freeze again."
        )
    context = getattr(models.model.config, "max_position_embeddings", None)
    longest = max(len(prompt.ids) for prompt in (*prompts, *asked)) + config.max_new_tokens
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
