"""A policy straight from preference pairs, with TRL's DPOTrainer and LoRA.

Rafailov et al. 2023 (arXiv:2305.18290): the pairs that a reward model learns from, without one.
The reference is the parent, a frozen copy of its adapter on the same base. Left out: the other
losses that TRL offers, and margins, which DPO's loss has no place for.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from trl import DPOConfig as TRLConfig
from trl import DPOTrainer

from training.pipeline import data
from training.pipeline.config import DPOConfig
from training.pipeline.data import PairRow
from training.pipeline.divergence import log_ratios, own_divergence
from training.pipeline.errors import PipelineError
from training.pipeline.evaluate import accuracy_with_interval
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.layers import Split, split_trunk
from training.pipeline.loading import add_policy, load_base, load_tokenizer
from training.pipeline.looks import Looks
from training.pipeline.processes import any_process
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.samples import FixedPrompts
from training.pipeline.trainers import POLICY, batch_settings, settings, train_or_resume


def train(job: Job, config: DPOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy on preference pairs and publish it. Return what held-out pairs say of it."""
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    rows = data.read_rows(job.data_path)
    training_rows, held_out_rows, heldout_by = data.hold_out(rows, config.seed)
    training, left_out = data.preference_pairs(training_rows, tokenizer, config.max_length)
    held_out, left_out_held = data.preference_pairs(held_out_rows, tokenizer, config.max_length)
    if len(training) < config.min_pairs:
        raise PipelineError(
            f"This snapshot has {len(training)} preference pairs to train on; dpo needs at least "
            f"{config.min_pairs}. {left_out} more were longer than max_length {config.max_length}. "
            "Collect more comparisons or rankings, raise max_length, or lower min_pairs."
        )
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
    results = {
        "train_pairs": len(training),
        "train_prompts": len({pair.prompt_id for pair in training}),
        "left_out_too_long": left_out + left_out_held,
        "heldout_by": heldout_by,
        **evaluate(model, split, held_out, config, tokenizer.pad_token_id, reporter, by=heldout_by),
        **own_divergence(model, split, tokenizer, shown, config.seed, reporter),
    }
    answers.answer(model, trainer.state.global_step)
    reporter.phase("publishing the checkpoint")
    if is_first():
        publish_adapter(job, model, tokenizer, POLICY, results)
    any_process(False)
    return results


def evaluate(
    model: PeftModel,
    split: Split,
    pairs: list[PairRow],
    config: DPOConfig,
    pad: int,
    reporter: Reporter,
    *,
    by: str,
) -> dict[str, Any]:
    """Return how often the policy moved towards what was chosen, on held-out pairs.

    That is the accuracy of the reward it implies, with its interval. A pair that it moved neither
    way counts one half.
    """
    if not pairs:
        return {"heldout_pairs": 0}
    prompts = [pair.prompt for pair in pairs] * 2
    completions = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    ratios = log_ratios(model, split, prompts, completions, pad, reporter)
    gaps = [ratios[i] - ratios[i + len(pairs)] for i in range(len(pairs))]
    right = [0.5 if gap == 0 else float(gap > 0) for gap in gaps]
    cluster: list[Hashable] = [pair.prompt_id if by == "prompt" else pair.key for pair in pairs]
    accuracy, low, high = accuracy_with_interval(right, cluster)
    return {
        "heldout_accuracy": accuracy,
        "heldout_low": low,
        "heldout_high": high,
        "heldout_pairs": len(pairs),
        "heldout_prompts": len({pair.prompt_id for pair in pairs}),
        "heldout_margin": config.beta * sum(gaps) / len(gaps),
    }


class TokenisedDPOTrainer(DPOTrainer):
    """TRL's trainer on pairs that are token ids already, the same as every stage reads."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def _trainer(
    job: Job,
    config: DPOConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    training: list[PairRow],
    reporting: TrainerReporter,
) -> TokenisedDPOTrainer:
    longest = max(
        2 * (len(pair.prompt) + max(len(pair.chosen), len(pair.rejected))) for pair in training
    )
    with_sft = config.sft_coef > 0
    rows = [
        {"prompt_ids": pair.prompt, "chosen_ids": pair.chosen, "rejected_ids": pair.rejected}
        for pair in training
    ]
    return TokenisedDPOTrainer(
        model=model,
        args=TRLConfig(
            **settings(job, config),
            **batch_settings(config.batch_size // config.processes, longest),
            num_train_epochs=config.epochs,
            beta=config.beta,
            loss_type=["sigmoid", "sft"] if with_sft else ["sigmoid"],
            loss_weights=[1.0, config.sft_coef] if with_sft else None,
            max_length=None,  # too long pairs were counted and left out already
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[reporting],
    )
