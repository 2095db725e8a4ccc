"""What GRPO and RLOO share: several completions of each prompt, scored by our reward model.

Policy, reference and reward model are adapters on one frozen base, as in PPO. TRL's trainers do
the learning; the completions come from `training.pipeline.rollouts`, which reads each prompt once,
and every random choice depends on the seed and the step alone, so that a resumed run sees what an
uninterrupted one does. A run stops itself when the policy runs away (`training.pipeline.guards`)
and publishes the newest one from before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from training.pipeline import data
from training.pipeline.config import GroupConfig
from training.pipeline.data import PromptRow
from training.pipeline.divergence import log_ratios
from training.pipeline.errors import PipelineError
from training.pipeline.guards import Guards, Seen
from training.pipeline.jobs import Job
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import (
    add_policy,
    add_reward,
    check_reward_fits,
    load_base,
    load_tokenizer,
)
from training.pipeline.looks import Looks
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.rollouts import (
    Sampled,
    enter,
    pad_right,
    read_in_parts,
    sample,
    score_completions,
    using,
)
from training.pipeline.samples import FixedPrompts, write_samples
from training.pipeline.trainers import (
    POLICY,
    REFERENCE,
    keep_reference,
    settings,
    train_or_resume,
)
from training.pipeline.watch import Kept, Watch, seen_of, stopped_early, with_slid

MakeTrainer = Callable[[Job, Any, "Rollouts", Dataset, list[TrainerCallback]], Trainer]
HELD_OUT_PROMPTS = 32
"""Held-out prompts on which the reward is measured before and after."""
KL_EVERY = 4
"""Steps from one measurement of the KL to the next where it has no price, so that the trainer does
not read the reference anyway."""


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

    def policy(self) -> dict[str, Tensor]:
        """Return what is trained, by name."""
        return {n: p.data for n, p in self.model.named_parameters() if f".{POLICY}." in n}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Take the policy back to a copy that was kept."""
        for name, weight in self.policy().items():
            weight.copy_(weights[name])


@dataclass
class Rollouts:
    """Draws and scores the completions that a trainer learns from, and looks at them."""

    models: Models
    config: GroupConfig
    drawn: Sampled | None = None
    reference: Tensor | None = None
    """Log-probs of what was drawn under the reference, (B, T); None where nobody read it."""
    learned: list[Tensor] = field(default_factory=list)
    """The same under the policy while it learned, summed over each completion: (b,) of each part
    of the batch. In half precision they differ from those of sampling, which reads prompts through
    the cache, and not from the reference's, which the trainer reads as it reads the policy's."""

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
        self.drawn, self.reference, self.learned = drawn, None, []
        if config.beta == 0 and step % KL_EVERY == 0:
            self._read(prompts, drawn)
        return [
            tokens[: int(mask.sum())].tolist()
            for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
        ]

    def note(self, log_probs: Tensor, attention_mask: Tensor) -> None:
        """Take down what a trainer read of the completions: the reference's, or the policy's."""
        if self.models.model.active_adapters == [REFERENCE]:
            self.reference = log_probs
        elif torch.is_grad_enabled() and self.config.beta:
            mask = attention_mask[:, -log_probs.shape[1] :]
            self.learned.append((log_probs.detach() * mask).sum(dim=1))

    def seen(self) -> Seen:
        """Return what the last rollout was like, in the units of PPO's."""
        if self.drawn is None:
            raise RuntimeError("Nothing was drawn before it was looked at.")
        seen = seen_of(self.drawn.log_probs, self.reference, self.drawn.mask)
        if self.reference is None or not self.learned:
            return seen
        reference = (self.reference * self.drawn.mask).sum(dim=1)
        return replace(seen, kl=(torch.cat(self.learned).mean() - reference.mean()).item())

    def _read(self, prompts: list[list[int]], drawn: Sampled) -> None:
        """Read what was drawn under the reference; in half precision under the policy, too."""
        model, split = self.models.model, self.models.split
        pad, temperature = self.models.tokenizer.pad_token_id, self.config.temperature
        entered = enter(split, prompts, drawn.tokens, drawn.mask, pad=pad)
        with using(model, REFERENCE, back=POLICY):
            read = read_in_parts(model, split, entered, temperature=temperature)
        self.reference = read.log_probs
        if model.dtype != torch.float32:  # as in PPO, the cached pass of sampling rounds otherwise
            read = read_in_parts(model, split, entered, temperature=temperature)
            self.drawn = replace(drawn, log_probs=read.log_probs)

    def reward(
        self, prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **_: Any
    ) -> list[float]:
        """Return the reward of each completion, less the penalty if it never ended."""
        scores = self.models.score(self.prompts(prompts), completion_ids)
        end = self.models.tokenizer.eos_token_id
        return [
            score - self.config.missing_eos_penalty * (ids[-1] != end)
            for score, ids in zip(scores, completion_ids, strict=True)
        ]


class Guarding(TrainerCallback):
    """Ends a run whose policy slides away, and keeps the newest policy from before."""

    def __init__(self, config: GroupConfig, rollouts: Rollouts, reporter: Reporter) -> None:
        self.guards = Guards(config.max_kl, config.max_length_ratio, price="beta")
        self.rollouts = rollouts
        self.reporter = reporter
        self.watch = Watch()
        self.alarm: str | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step:
            self.watch = Watch.load(resume_point(args, state))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Look at the policy while it is still the one that drew the rollout."""
        weights = {name: weight.clone() for name, weight in self.rollouts.models.policy().items()}
        policy = Kept(state.global_step, self.rollouts.seen(), weights)
        self.alarm = self.watch.look(self.guards, policy)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        kl = self.rollouts.seen().kl
        if not math.isnan(kl):
            self.reporter.metrics(state.global_step, {"objective/kl": kl})
        if self.alarm is not None:  # and no resume point: a slid policy is not gone on with
            control.should_training_stop, control.should_save = True, False

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.watch.save(resume_point(args, state))


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
    answers = FixedPrompts.of(job, config, tokenizer, held_out, reporter)
    answers.begin(model)
    reporter.phase("measuring the reference")
    reference = held_out_scores(models, held_out, config, reporter)

    reporter.phase("preparing the training")
    reporting = TrainerReporter(reporter, config.learning_rate)
    rollouts = Rollouts(models, config)
    guarding = Guarding(config, rollouts, reporter)
    callbacks = [guarding, reporting]  # the second seals what the first has saved
    trainer = make_trainer(job, config, rollouts, prompts_of_steps(training, config), callbacks)
    trainer.add_callback(Looks(answers, reporting))
    keep_reference(model)
    train_or_resume(trainer, job, reporting)
    model.eval()
    step = trainer.state.global_step
    answers.answer(model, step)
    results: dict[str, Any] = {"episodes": step * config.batch_size}
    if guarding.alarm is not None:
        calm = guarding.watch.calm_policy(guarding.alarm, step, config.steps)
        models.restore(calm.weights)
        results |= stopped_early(calm, guarding.alarm, step, config.steps)
        kept = write_samples(model, tokenizer, held_out, config.seed, reporter)
        reporter.samples(with_slid(answers.rows(), kept))
    reporter.phase("measuring the policy")
    measured = held_out_scores(models, held_out, config, reporter, with_kl=True)
    results |= {
        "kl": measured["kl"],
        "score_before": reference["score"],
        "score_after": measured["score"],
        "score_prompts": min(len(held_out), HELD_OUT_PROMPTS),
        "length_before": reference["length"],
        "length_after": measured["length"],
    }
    reporter.phase("publishing the checkpoint")
    publish_adapter(job, model, tokenizer, POLICY, results)
    return results


def resume_point(args: TrainingArguments, state: TrainerState) -> Path:
    """Return the folder that a trainer saves the step in."""
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"


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
    """Return means of the policy's completions of held-out prompts: reward, length, KL."""
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
    found = {
        "score": sum(scores) / len(scores),
        "length": sum(map(len, completions)) / len(completions),
    }
    if with_kl:
        pad = models.tokenizer.pad_token_id
        ratios = log_ratios(models.model, models.split, prompts, completions, pad, reporter)
        found["kl"] = sum(ratios) / len(ratios)
    return found
