"""What GRPO and RLOO share: several completions of each prompt, scored by our reward model.

Policy, reference and reward model are adapters on one frozen base, as in PPO. TRL's trainers do
the learning; the completions come from `training.pipeline.rollouts`, which reads each prompt once,
and every random choice depends on the seed and the step alone, so that a resumed run sees what an
uninterrupted one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import nn
from transformers import PreTrainedTokenizerBase, Trainer

from training.pipeline import data
from training.pipeline.config import GroupConfig
from training.pipeline.data import PromptRow
from training.pipeline.divergence import log_ratios
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import (
    add_policy,
    add_reward,
    check_reward_fits,
    load_base,
    load_tokenizer,
)
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.rollouts import enter, pad_right, sample, score_completions, using
from training.pipeline.samples import before_and_after, write_samples
from training.pipeline.trainers import POLICY, keep_reference, settings, train_or_resume

MakeTrainer = Callable[[Job, Any, "Models", Dataset, TrainerReporter], Trainer]
HELD_OUT_PROMPTS = 32
"""Held-out prompts on which the reward is measured before and after."""


@dataclass(frozen=True)
class Models:
    """One base, its adapters and the reward model's head."""

    model: PeftModel
    split: Split
    score_head: nn.Module
    tokenizer: PreTrainedTokenizerBase

    @torch.no_grad()
    def score(self, prompts: list[list[int]], completions: list[list[int]]) -> list[float]:
        """Return the reward of each completion."""
        pad = self.tokenizer.pad_token_id
        tokens, mask = pad_right(completions, pad, self.model.device)
        with using(self.model, "reward", back=POLICY):
            entered = enter(self.split, prompts, tokens, mask, pad=pad)
            found: list[float] = score_completions(self.split, self.score_head, entered).tolist()
        return found


@dataclass
class Rollouts:
    """Draws and scores the completions that a trainer learns from."""

    models: Models
    config: GroupConfig

    def prompts(self, prompts: list[Any]) -> list[list[int]]:
        """Return the ids of prompts, as every stage reads them."""
        return [data.encode_prompt(self.models.tokenizer, messages) for messages in prompts]

    def complete(self, prompts: list[list[int]], step: int) -> list[list[int]]:
        """Return a completion for each prompt; equal ones stand side by side, `group_size` each."""
        config = self.config
        drawn = sample(
            self.models.model,
            prompts[:: config.group_size],
            self.models.tokenizer,
            max_new_tokens=config.max_new_tokens,
            generator=torch.Generator().manual_seed(config.seed * 7_368_787 + step),
            repeat=config.group_size,
            temperature=config.temperature,
        )
        return [
            tokens[: int(mask.sum())].tolist()
            for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
        ]

    def reward(
        self, prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **_: Any
    ) -> list[float]:
        """Return the reward of each completion, less the penalty if it never ended."""
        scores = self.models.score(self.prompts(prompts), completion_ids)
        if not all(map(math.isfinite, scores)):
            raise PipelineError(
                "The reward model gave a score that is not a number. Nothing was published. "
                "Train the reward model again with a lower learning rate, or choose another."
            )
        end = self.models.tokenizer.eos_token_id
        return [
            score - self.config.missing_eos_penalty * (ids[-1] != end)
            for score, ids in zip(scores, completion_ids, strict=True)
        ]


def load_models(job: Job, config: GroupConfig) -> Models:
    """Return one copy of the base with the policy's and the reward model's adapters on it."""
    tokenizer = load_tokenizer(job.base_path)
    reward_path = check_reward_fits(tokenizer, job)
    torch.manual_seed(config.seed)  # a new adapter begins at random
    model = add_policy(load_base(job.base_path), job.adapter_path, config, POLICY)
    score_head = add_reward(model, reward_path)
    model.set_adapter(POLICY)
    return Models(model, split_trunk(model), score_head, tokenizer)


def train(
    job: Job, config: GroupConfig, reporter: Reporter, make_trainer: MakeTrainer
) -> dict[str, Any]:
    """Train a policy with one of TRL's trainers and publish it. Return what changed."""
    reporter.phase("loading the models")
    rows = data.read_rows(job.data_path)
    models = load_models(job, config)
    model, tokenizer = models.model, models.tokenizer
    training = [row for row in rows if row["split"] == "train"]
    if not training:
        raise PipelineError(
            "This snapshot has no prompts to train on. Add prompts and freeze again."
        )
    held_out = data.prompts(rows, tokenizer, ("validation",)) or data.prompts(rows, tokenizer, None)
    before = write_samples(model, tokenizer, held_out, config.seed, reporter)
    reporter.phase("measuring the reference")
    score_before = held_out_scores(models, held_out, config, reporter)["score"]

    reporter.phase("preparing the training")
    reporting = TrainerReporter(reporter, config.learning_rate)
    trainer = make_trainer(job, config, models, prompts_of_steps(training, config), reporting)
    keep_reference(model)
    train_or_resume(trainer, job, reporting)
    model.eval()
    after = write_samples(model, tokenizer, held_out, config.seed, reporter)
    reporter.samples(before_and_after(held_out, before, after))
    reporter.phase("measuring the policy")
    measured = held_out_scores(models, held_out, config, reporter, with_kl=True)
    results = {
        "kl": measured["kl"],
        "score_before": score_before,
        "score_after": measured["score"],
        "score_prompts": min(len(held_out), HELD_OUT_PROMPTS),
        "episodes": config.steps * config.batch_size,
    }
    reporter.phase("publishing the checkpoint")
    publish_adapter(job, model, tokenizer, POLICY, results)
    return results


def prompts_of_steps(rows: list[dict[str, Any]], config: GroupConfig) -> Dataset:
    """Return the prompts of all steps in order: an endless shuffle, cut off behind the last."""
    distinct = list({row["prompt_id"]: row["prompt"] for row in rows}.values())
    wanted = config.steps * config.batch_size // config.group_size
    chosen: list[list[dict[str, str]]] = []
    for epoch in range(-(-wanted // len(distinct))):
        order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        shuffled = torch.randperm(len(distinct), generator=order).tolist()
        chosen += [distinct[number] for number in shuffled]
    return Dataset.from_dict({"prompt": chosen[:wanted]})


def trainer_settings(job: Job, config: GroupConfig) -> dict[str, Any]:
    """Return what both trainers are told the same way."""
    return {
        **settings(job, config),
        "per_device_train_batch_size": config.minibatch_size,
        "gradient_accumulation_steps": config.batch_size // config.minibatch_size,
        "max_steps": config.steps,
        "num_generations": config.group_size,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "warmup_steps": 0,  # the first would be 0, and a rollout for nothing
        "shuffle_dataset": False,  # the prompts lie in the order of the steps
        "beta": config.beta,
    }


@torch.no_grad()
def held_out_scores(
    models: Models,
    held_out: list[PromptRow],
    config: GroupConfig,
    reporter: Reporter,
    *,
    with_kl: bool = False,
) -> dict[str, float]:
    """Return the mean reward of the policy's completions of held-out prompts, and their KL."""
    prompts = [row.ids for row in held_out[:HELD_OUT_PROMPTS]]
    drawn = sample(
        models.model,
        prompts,
        models.tokenizer,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        generator=torch.Generator().manual_seed(config.seed + 1),
        after_token=lambda done: reporter.count(done, config.max_new_tokens, "token"),
    )
    completions = [
        tokens[: int(mask.sum())].tolist()
        for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
    ]
    scores = models.score(prompts, completions)
    found = {"score": sum(scores) / len(scores)}
    if with_kl:
        pad = models.tokenizer.pad_token_id
        ratios = log_ratios(models.model, models.split, prompts, completions, pad, reporter)
        found["kl"] = sum(ratios) / len(ratios)
    return found
