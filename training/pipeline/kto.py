"""A policy from completions that were judged good or bad, with TRL's KTOTrainer and LoRA.

Ethayarajh et al. 2024 (arXiv:2402.01306): no pairs are needed, so "both are bad" teaches too. The
reference is the parent, a frozen copy of its adapter on the same base. The KL that judgements are
weighed against is estimated on completions of other prompts (§4.1). Left out: APO's loss.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from itertools import product
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from trl import KTOConfig as TRLConfig
from trl import KTOTrainer

from training.pipeline import data
from training.pipeline.config import KTOConfig
from training.pipeline.data import JudgedRow
from training.pipeline.divergence import log_ratios, own_divergence
from training.pipeline.errors import PipelineError
from training.pipeline.evaluate import accuracy_with_interval
from training.pipeline.jobs import Job
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import add_policy, load_base, load_tokenizer
from training.pipeline.looks import Looks
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.samples import FixedPrompts
from training.pipeline.trainers import POLICY, batch_settings, settings, train_or_resume


def train(job: Job, config: KTOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy on judged completions and publish it. Return what held-out ones say of it."""
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    rows = data.read_rows(job.data_path)
    training, left_out = data.judged(rows, tokenizer, ("train",), config.max_length)
    held_out, left_out_held = data.judged(rows, tokenizer, data.HELD_OUT, config.max_length)
    _check(training, left_out, config)
    random.Random(config.seed).shuffle(training)  # TRL takes them in order; see `strangers`
    torch.manual_seed(config.seed)  # a new adapter begins at random
    model = add_policy(load_base(job.base_path), job.adapter_path, config, POLICY)
    shown = data.prompts(rows, tokenizer, data.HELD_OUT) or data.prompts(rows, tokenizer, None)
    answers = FixedPrompts.of(job, config, tokenizer, shown, reporter)
    answers.begin(model)

    reporter.phase("preparing the training")
    reporting = TrainerReporter(reporter, config.learning_rate)
    trainer = _trainer(job, config, model, tokenizer, training, reporting)
    trainer.add_callback(Looks(answers, reporting))
    train_or_resume(trainer, job, reporting)
    reporter.phase("evaluating")
    model.eval()
    split = split_trunk(model)
    good = sum(row.good for row in training)
    results = {
        "train_good": good,
        "train_bad": len(training) - good,
        "left_out_too_long": left_out + left_out_held,
        **evaluate(model, split, held_out, tokenizer.pad_token_id, reporter),
        **own_divergence(model, split, tokenizer, shown, config.seed, reporter),
    }
    answers.answer(model, trainer.state.global_step)
    reporter.phase("publishing the checkpoint")
    publish_adapter(job, model, tokenizer, POLICY, results)
    return results


def _check(training: list[JudgedRow], left_out: int, config: KTOConfig) -> None:
    if len(training) < config.min_rows:
        raise PipelineError(
            f"This snapshot has {len(training)} judged completions to train on; kto needs at least "
            f"{config.min_rows}. {left_out} more were longer than max_length {config.max_length}. "
            "Collect more comparisons or rankings, raise max_length, or lower min_rows."
        )
    labels = {row.good for row in training}
    if len(labels) == 1:
        found, lacking = ("good", "bad") if labels == {True} else ("bad", "good")
        raise PipelineError(
            f"All {len(training)} completions to train on were judged {found}; kto learns from "
            f"{found} beside {lacking} ones. Collect judgements of {lacking} completions and "
            "freeze again."
        )


def weights(training: list[JudgedRow], config: KTOConfig) -> tuple[float, float]:
    """Return the weights of good and bad completions.

    Unless told otherwise the rarer kind weighs as much in all as the other (arXiv:2402.01306,
    eq. 8, asks for a ratio of 1 to 4/3).
    """
    if config.desirable_weight is not None:
        return config.desirable_weight, 1.0
    good = sum(row.good for row in training)
    bad = len(training) - good
    return max(1.0, bad / good), max(1.0, good / bad)


def strangers(training: list[JudgedRow]) -> list[list[int]]:
    """Return for each row a completion of another prompt: of the last row before it that has one.

    What the policy thinks of those estimates its KL to the reference. Where all rows are of one
    prompt it is the completion before.
    """
    return [
        next(
            (
                training[number - back].completion
                for back in range(1, len(training))
                if training[number - back].prompt_id != row.prompt_id
            ),
            training[number - 1].completion,
        )
        for number, row in enumerate(training)
    ]


def evaluate(
    model: PeftModel, split: Split, rows: list[JudgedRow], pad: int, reporter: Reporter
) -> dict[str, Any]:
    """Return how often a good completion gained more than a bad one of its held-out prompt.

    That is the accuracy of the implied reward, with its interval, as for dpo. Two that gained the
    same count one half.
    """
    ratios = log_ratios(
        model,
        split,
        [row.prompt for row in rows],
        [row.completion for row in rows],
        pad,
        reporter,
    )
    judged: dict[int, tuple[list[float], list[float]]] = {}
    for row, ratio in zip(rows, ratios, strict=True):
        judged.setdefault(row.prompt_id, ([], []))[row.good].append(ratio)
    right: list[float] = []
    cluster: list[Hashable] = []
    for prompt_id, (bad, good) in judged.items():
        for better, worse in product(good, bad):
            right.append(0.5 if better == worse else float(better > worse))
            cluster.append(prompt_id)
    if not right:
        return {"heldout_pairs": 0}
    accuracy, low, high = accuracy_with_interval(right, cluster)
    return {
        "heldout_accuracy": accuracy,
        "heldout_low": low,
        "heldout_high": high,
        "heldout_pairs": len(right),
        "heldout_prompts": len(set(cluster)),
    }


class TokenisedKTOTrainer(KTOTrainer):
    """TRL's trainer on rows that are token ids already, the same as every stage reads."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def _trainer(
    job: Job,
    config: KTOConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    training: list[JudgedRow],
    reporting: TrainerReporter,
) -> TokenisedKTOTrainer:
    desirable, undesirable = weights(training, config)
    pairs = list(zip(training, strangers(training), strict=True))
    longest = max(len(row.prompt) + max(len(row.completion), len(other)) for row, other in pairs)
    rows = [
        {
            "prompt_ids": row.prompt,
            "completion_ids": row.completion,
            "KL_completion_ids": other,
            "label": row.good,
        }
        for row, other in pairs
    ]
    return TokenisedKTOTrainer(
        model=model,
        args=TRLConfig(
            **settings(job, config),
            **batch_settings(config.batch_size, longest, fewest=2),  # else its KL would be its own
            num_train_epochs=config.epochs,
            beta=config.beta,
            desirable_weight=desirable,
            undesirable_weight=undesirable,
            max_length=None,  # too long rows were counted and left out already
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[reporting],
    )
