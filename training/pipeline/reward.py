"""A reward model from preference pairs, with TRL's RewardTrainer and LoRA.

Ouyang et al. 2022 (arXiv:2203.02155), §3.5: all pairs of one prompt stand in one batch element and
every prompt weighs the same. TRL's own batches hold pairs, which encodes a completion of a ranking
of four three times and its prompt six times; here each completion is encoded once and the prompt
once per group, through the key-value cache. The adapter starts as the parent's, as InstructGPT's
reward model starts as the fine-tuned model. Left out: soft targets for annotators who disagree.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from trl import RewardConfig as TRLConfig
from trl import RewardTrainer

from training.pipeline import data
from training.pipeline.checkpoints import newest_whole
from training.pipeline.config import Job, RewardConfig
from training.pipeline.data import PreferenceGroup
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.evaluate import accuracy_with_interval
from training.pipeline.loading import (
    add_reward_adapter,
    load_reward_base,
    load_tokenizer,
    pick_device,
    trunk_of,
)
from training.pipeline.losses import grouped_pairwise_loss
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.rollouts import pad_right, read_prompts, read_tokens

TOKENS_AT_ONCE = 4096
"""Tokens whose activations are in memory at a time. With 135M parameters in float32, three times as
many took more than 22 GB."""


def train(job: Job, config: RewardConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a reward model and publish it. Return its held-out accuracy and what it saw."""
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    rows = data.read_rows(job.data_path)
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
    reporter.phase("evaluating")
    results = {
        "train_pairs": pairs,
        "train_prompts": len({group.prompt_id for group in training}),
        "left_out_too_long": left_out + left_out_held,
        "heldout_by": heldout_by,
        **evaluate(
            model, held_out, tokenizer.pad_token_id, config.batch_size, reporter, by=heldout_by
        ),
    }
    reporter.phase("publishing the checkpoint")
    publish_adapter(job, model, tokenizer, "default", results)
    return results


@torch.no_grad()
def evaluate(
    model: PeftModel,
    groups: list[PreferenceGroup],
    pad: int,
    batch_size: int,
    reporter: Reporter,
    *,
    by: str,
) -> dict[str, Any]:
    """Return the accuracy on held-out pairs with its interval, and the scores' mean and spread.

    A pair that scores the same both ways counts one half.
    """
    model.eval()
    right: list[float] = []
    cluster: list[Hashable] = []
    scores_seen: list[float] = []
    for start in range(0, len(groups), batch_size):
        batch = groups[start : start + batch_size]
        scores = score_groups(model, [vars(group) for group in batch], pad).tolist()
        scores_seen += scores
        offset = 0
        for number, group in enumerate(batch, start):
            for chosen, rejected, _ in group.pairs:
                gap = scores[offset + chosen] - scores[offset + rejected]
                right.append(0.5 if gap == 0 else float(gap > 0))
                pair = (number, min(chosen, rejected), max(chosen, rejected))
                cluster.append(group.prompt_id if by == "prompt" else pair)
            offset += len(group.completions)
        reporter.count(min(start + batch_size, len(groups)), len(groups), "prompt")
    if not right:
        return {"heldout_pairs": 0}
    accuracy, low, high = accuracy_with_interval(right, cluster)
    spread = torch.tensor(scores_seen)
    return {
        "heldout_accuracy": accuracy,
        "heldout_low": low,
        "heldout_high": high,
        "heldout_pairs": len(right),
        "heldout_prompts": len({group.prompt_id for group in groups}),
        "score_mean": float(spread.mean()),
        "score_std": float(spread.std(unbiased=False)),
    }


def score_groups(model: PeftModel, groups: list[dict[str, Any]], pad: int) -> Tensor:
    """Return the score of every completion of every group, in order, (N,) in float32."""
    trunk, head = trunk_of(model), model.get_base_model().score
    prompts = [group["prompt"] for group in groups]
    tokens, mask = pad_right(
        [c for group in groups for c in group["completions"]], pad, pick_device()
    )
    state = read_prompts(trunk, prompts, pad=pad)
    owner = torch.tensor(
        [i for i, group in enumerate(groups) for _ in group["completions"]], device=mask.device
    )
    state.cache.batch_select_indices(owner)
    state.mask = state.mask[owner]
    hidden = read_tokens(trunk, state, tokens, mask)
    last = mask.sum(dim=1) - 1
    at_end = hidden[torch.arange(len(last), device=hidden.device), last]  # (N, H)
    scores: Tensor = head(at_end).squeeze(-1).float()
    return scores


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
        scores = score_groups(model, groups, self.pad_token_id)
        chosen, rejected, owner, margins = [], [], [], []
        offset = 0
        for number, group in enumerate(groups):
            for better, worse, margin in group["pairs"]:
                chosen.append(offset + int(better))
                rejected.append(offset + int(worse))
                owner.append(number)
                margins.append(margin)
            offset += len(group["completions"])
        index = [torch.tensor(x, device=scores.device) for x in (chosen, rejected, owner)]
        margin = torch.tensor(margins, device=scores.device)
        loss = grouped_pairwise_loss(scores, index[0], index[1], index[2], margin)
        with torch.no_grad():
            gap = scores[index[0]] - scores[index[1]]
            metrics = self._metrics["train" if self.model.training else "eval"]
            metrics["accuracy"].append((gap > 0).float().mean().item())
            metrics["margin"].append(gap.mean().item())
            metrics["mean_reward"].append(scores.mean().item())
        return (loss, {"scores": scores}) if return_outputs else loss


def _rows(groups: list[PreferenceGroup], use_margin: bool) -> list[dict[str, Any]]:
    return [
        {
            "prompt": group.prompt,
            "completions": group.completions,
            "pairs": [[c, r, margin if use_margin else 0.0] for c, r, margin in group.pairs],
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
    at_once = groups_at_once(training, config.batch_size)
    trainer = GroupedRewardTrainer(
        model=model,
        args=TRLConfig(
            output_dir=str(Path(job.work_dir) / "trainer"),
            learning_rate=config.learning_rate,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=config.batch_size // at_once,
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
        train_dataset=Dataset.from_list(_rows(training, config.use_margin)),
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
