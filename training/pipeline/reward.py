"""A reward model from preference pairs, with TRL's RewardTrainer and LoRA.

Ouyang et al. 2022 (arXiv:2203.02155), §3.5: all pairs of one prompt stand in one batch element and
every prompt weighs the same. TRL's own batches hold pairs, which encodes a completion of a ranking
of four three times and its prompt six times; here each completion is encoded once and the prompt
once per group, through the key-value cache. The adapter starts as the parent's, as InstructGPT's
reward model starts as the fine-tuned model, and the scores are shifted so that demonstrations
average 0. All votes on a pair are one target, the share of them; a tie is half a vote where ties
are learned from. A snapshot that weighed its votes brings targets and weights of its own.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from trl import RewardConfig as TRLConfig
from trl import RewardTrainer

from training.pipeline import data, processes
from training.pipeline.checkpoints import newest_whole
from training.pipeline.config import RewardConfig
from training.pipeline.data import PreferenceGroup
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.evaluate import Judged, correlation, human_agreement, measure
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.loading import (
    CENTRE,
    add_reward_adapter,
    load_reward_base,
    load_tokenizer,
    pick_device,
)
from training.pipeline.losses import grouped_pairwise_loss
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.scoring import score_each, score_groups

TOKENS_AT_ONCE = 4096
"""Tokens whose activations are in memory at a time. With 135M parameters in float32, three times as
many took more than 22 GB."""
CENTRED_ON_MOST = 128
"""Demonstrations whose mean score becomes 0. Their spread is about 1, so it is known to ± 0.1."""


def train(job: Job, config: RewardConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a reward model and publish it. Return its held-out accuracy and what it saw."""
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    rows = data.read_rows(job.data_path, with_ties=config.learn_from_ties)
    training_rows, held_out_rows, heldout_by = data.hold_out(rows, config.seed)
    training, left_out = data.preference_groups(training_rows, tokenizer, config.max_length)
    held_out, left_out_held = data.preference_groups(held_out_rows, tokenizer, config.max_length)
    pairs = sum(len(group.pairs) for group in training)
    if pairs < config.min_pairs:
        raise PipelineError(
            f"This snapshot has {pairs} preference pairs to train on; a reward model needs at "
            f"least {config.min_pairs}. {left_out} more were longer than max_length "
            f"{config.max_length}. Collect more comparisons or rankings, raise max_length, or "
            "lower min_pairs."
        )
    reporter.phase("preparing the training")
    torch.manual_seed(config.seed)  # the score head and the adapter begin at random
    base = load_reward_base(job.base_path, tokenizer)
    model = add_reward_adapter(base, job.adapter_path, config)
    reporting = TrainerReporter(reporter, config.learning_rate)
    trainer = _trainer(job, config, model, tokenizer, training, held_out, reporting)
    resume = newest_whole(Path(job.work_dir) / "trainer", "checkpoint-*")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if reporting.stopped:
        raise RunStopped
    model.eval()

    def score(groups: list[PreferenceGroup]) -> list[list[float]]:
        def tell(done: int, total: int) -> None:
            reporter.count(done, total, "prompt")

        return score_each(model, [vars(group) for group in groups], tokenizer.pad_token_id, tell)

    reporter.phase("evaluating")
    scores = score(held_out)
    judged = judged_pairs(held_out, scores, by=heldout_by)
    everywhere = judged + judged_pairs(training, by=heldout_by)
    people = human_agreement(everywhere)
    reporter.phase("scoring the demonstrations")
    centre = centre_of(score(_demonstrations(job, config, tokenizer)), scores)
    results = {
        "train_pairs": pairs,
        "train_prompts": len({group.prompt_id for group in training}),
        "left_out_too_long": left_out + left_out_held,
        "heldout_by": heldout_by,
        **measure(judged),
        **({"human_agreement": asdict(people)} if people else {}),
        **describe_scores(held_out, scores, centre),
    }
    reporter.phase("publishing the checkpoint")
    if is_first():
        files = {CENTRE: json.dumps(asdict(centre))}
        publish_adapter(job, model, tokenizer, "default", results, files=files)
    processes.any_process(False)
    return results


@dataclass(frozen=True)
class Centre:
    """What is taken off every score, so that 0 means something."""

    score: float
    """Mean score of the texts, as the score head gives it."""
    of: str
    """Which texts: demonstrations, or where there are none the held-out completions."""
    texts: int


def centre_of(demonstrations: list[list[float]], completions: list[list[float]]) -> Centre:
    """Return the mean score of demonstrations; without any that of completions, or 0."""
    for name, scores in (("demonstrations", demonstrations), ("completions", completions)):
        if flat := [score for of_group in scores for score in of_group]:
            return Centre(fmean(flat), name, len(flat))
    return Centre(0.0, "nothing", 0)


def _demonstrations(
    job: Job, config: RewardConfig, tokenizer: PreTrainedTokenizerBase
) -> list[PreferenceGroup]:
    if job.demonstrations_path is None:
        return []
    return data.demonstration_groups(
        data.read_rows(job.demonstrations_path),
        tokenizer,
        config.max_length,
        most=CENTRED_ON_MOST,
        seed=config.seed,
    )


def judged_pairs(
    groups: list[PreferenceGroup], scores: list[list[float]] | None = None, *, by: str
) -> list[Judged]:
    """Return every pair with its votes and, where it was scored, the gap between its scores."""
    found = []
    for number, group in enumerate(groups):
        for pair in group.pairs:
            of_pair = (pair.chosen, pair.rejected)
            gap = scores[number][of_pair[0]] - scores[number][of_pair[1]] if scores else 0.0
            texts = [tuple(group.completions[index]) for index in of_pair]
            cluster: Hashable = (group.prompt_id, *sorted(texts)) if by == "pair" else None
            found.append(
                Judged(
                    prompt_id=group.prompt_id,
                    cluster=cluster or group.prompt_id,
                    gap=gap,
                    lengths=(len(texts[0]), len(texts[1])),
                    first_votes=pair.agreeing,
                    second_votes=pair.opposing,
                )
            )
    return found


def describe_scores(
    groups: list[PreferenceGroup], scores: list[list[float]], centre: Centre
) -> dict[str, Any]:
    """Return mean and spread of the centred scores, and how they go with length."""
    flat = [score for of_group in scores for score in of_group]
    lengths = [len(tokens) for group in groups for tokens in group.completions]
    if not flat:
        return {"score_centre": centre.score, "centred_on": centre.of}
    return {
        "score_mean": fmean(flat) - centre.score,
        "score_std": pstdev(flat),
        "score_centre": centre.score,
        "centred_on": centre.of,
        "centred_on_texts": centre.texts,
        "length_correlation": correlation(flat, lengths),
        "length_completions": len(flat),
    }


class GroupedRewardTrainer(RewardTrainer):
    """TRL's reward trainer on groups of pairs instead of single pairs."""

    pad_token_id = 0

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # tokenised and grouped already

    def compute_loss(
        self,
        model: PeftModel,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        groups = inputs["groups"]
        scores = processes.through(model, score_groups, groups, self.pad_token_id)
        chosen, rejected, owner, targets, margins, weights = [], [], [], [], [], []
        offset = 0
        for number, group in enumerate(groups):
            for better, worse, target, margin, weight in group["pairs"]:
                chosen.append(offset + int(better))
                rejected.append(offset + int(worse))
                owner.append(number)
                targets.append(target)
                margins.append(margin)
                weights.append(weight)
            offset += len(group["completions"])
        index = [torch.tensor(x, device=scores.device) for x in (chosen, rejected, owner)]
        margin, target, weight = (
            torch.tensor(x, device=scores.device) for x in (margins, targets, weights)
        )
        loss = grouped_pairwise_loss(scores, index[0], index[1], index[2], margin, target, weight)
        with torch.no_grad():
            gap = scores[index[0]] - scores[index[1]]
            decided = target != 0.5
            seen = processes.added_up(
                {
                    "decided": decided.sum().item(),
                    "right": (gap > 0)[decided].sum().item(),
                    "gap": gap[decided].sum().item(),
                    "score": scores.sum().item(),
                    "scores": len(scores),
                }
            )
            metrics = self._metrics["train" if self.model.training else "eval"]
            if seen["decided"]:
                metrics["accuracy"].append(seen["right"] / seen["decided"])
                metrics["margin"].append(seen["gap"] / seen["decided"])
            metrics["mean_reward"].append(seen["score"] / seen["scores"])
        return (loss, {"scores": scores}) if return_outputs else loss


def rows_for_trainer(groups: list[PreferenceGroup], use_margin: bool) -> list[dict[str, Any]]:
    """Return a row for each group, with the weights of its pairs so that all average 1.

    So the learning rate means the same with and without weights.
    """
    scale = fmean(pair.weight for group in groups for pair in group.pairs) or 1.0
    return [
        {
            "prompt": group.prompt,
            "completions": group.completions,
            "pairs": [
                [
                    pair.chosen,
                    pair.rejected,
                    pair.target,
                    pair.margin if use_margin else 0.0,
                    pair.weight / scale,
                ]
                for pair in group.pairs
            ],
        }
        for group in groups
    ]


def _trainer(
    job: Job,
    config: RewardConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    training: list[PreferenceGroup],
    held_out: list[PreferenceGroup],
    reporting: TrainerReporter,
) -> GroupedRewardTrainer:
    share = config.batch_size // config.processes
    at_once = groups_at_once(training, share)
    trainer = GroupedRewardTrainer(
        model=model,
        args=TRLConfig(
            output_dir=str(Path(job.work_dir) / "trainer"),
            learning_rate=config.learning_rate,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=share // at_once,
            num_train_epochs=config.epochs,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            seed=config.seed,
            logging_steps=1,
            logging_nan_inf_filter=False,  # the default hides a NaN step
            save_steps=config.checkpoint_every,
            save_total_limit=2,
            remove_unused_columns=False,
            gradient_checkpointing=False,
            bf16=False,  # the weights already have the machine's type
            use_cpu=pick_device().type == "cpu",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        data_collator=lambda rows: {"groups": rows},
        train_dataset=Dataset.from_list(rows_for_trainer(training, config.use_margin)),
        processing_class=tokenizer,
        callbacks=[reporting],
    )
    trainer.pad_token_id = tokenizer.pad_token_id
    trainer.model_accepts_loss_kwargs = False  # the loss is a mean over groups: it is to be divided
    return trainer


def groups_at_once(groups: list[PreferenceGroup], batch_size: int) -> int:
    """Return how many groups of a batch are read together, a divisor of `batch_size`.

    The gradients of the others are added up, so that memory depends on TOKENS_AT_ONCE and not on
    how long the texts of a batch happen to be; what is learned is the same.
    """
    largest = max(
        len(group.prompt) + len(group.completions) * max(map(len, group.completions))
        for group in groups
    )
    fitting = max(1, min(batch_size, TOKENS_AT_ONCE // largest))
    return next(count for count in range(fitting, 0, -1) if batch_size % count == 0)
