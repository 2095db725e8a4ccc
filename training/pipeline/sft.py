"""Supervised fine-tuning on demonstrations, with TRL's SFTTrainer: LoRA, or every weight.

Ouyang et al. 2022 (arXiv:2203.02155), §3.5: the loss is on the completion only. Left out: the mix
with pre-training data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig as TRLConfig
from trl import SFTTrainer

from training.pipeline import data
from training.pipeline.checkpoints import newest_whole
from training.pipeline.completion_loss import completion_loss, is_plain
from training.pipeline.config import SFTConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.fused_head import suit_the_processor
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.loading import (
    add_policy,
    load_all_weights,
    load_base,
    load_tokenizer,
    pick_device,
    pick_dtype,
)
from training.pipeline.looks import Looks
from training.pipeline.processes import any_process
from training.pipeline.publishing import publish_adapter, publish_model
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.samples import FixedPrompts

suit_the_processor()
PACKED_MAY_DIFFER = 0.02
"""By how much of the largest logit rounding may set a packed text apart from the same one alone."""


def train(
    job: Job, config: SFTConfig, reporter: Reporter, known: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Train an adapter on demonstrations and publish it. Return the run's results.

    `known` is what is known of the demonstrations beforehand; it stands among the results.
    """
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    rows = data.read_rows(job.data_path)
    training = data.demonstrations(rows, tokenizer, ("train",), config.max_length)
    held_out = data.demonstrations(rows, tokenizer, ("validation",), config.max_length)
    _check_enough(len(training.rows), config)
    model = _load(job, config)
    shown = data.prompts(rows, tokenizer, data.HELD_OUT) or data.prompts(rows, tokenizer, None)
    if config.sharding:
        shown = []  # no process has the weights to write with
    if config.packing:
        check_packing(model)
    answers = FixedPrompts.of(job, config, tokenizer, shown, reporter)
    answers.begin(model)

    reporter.phase("preparing the training")
    reporting = TrainerReporter(reporter, config.learning_rate)
    trainer = _trainer(job, config, model, tokenizer, training.rows, held_out.rows, reporting)
    trainer.add_callback(Looks(answers, reporting, config.looks, has_loss=bool(held_out.rows)))
    resume = newest_whole(Path(job.work_dir) / "trainer", "checkpoint-*")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if reporting.stopped:
        raise RunStopped
    reporter.phase("evaluating")
    results: dict[str, Any] = {
        **(known or {}),
        "rows": len(training.rows),
        "left_out_too_long": training.left_out_too_long,
    }
    if held_out.rows:
        results["eval_loss"] = trainer.evaluate()["eval_loss"]
        results["eval_rows"] = len(held_out.rows)
    answers.answer(model, trainer.state.global_step)
    reporter.phase("publishing the checkpoint")
    # Of several processes each may have a part of the weights, and one publishes the whole.
    weights = trainer.accelerator.get_state_dict(trainer.model) if config.sharding else None
    if is_first() and isinstance(model, PeftModel):
        publish_adapter(job, model, tokenizer, "policy", results, weights=weights)
    elif is_first():
        publish_model(job, model, tokenizer, results, weights=weights)
    any_process(False)
    return results


def _check_enough(count: int, config: SFTConfig) -> None:
    if count < config.min_rows:
        raise PipelineError(
            f"This snapshot has {count} demonstrations to train on that fit in "
            f"{config.max_length} tokens; at least {config.min_rows} are needed. Collect more "
            "demonstrations, raise max_length or lower min_rows."
        )


def _load(job: Job, config: SFTConfig) -> PeftModel | PreTrainedModel:
    torch.manual_seed(config.seed)  # a new adapter begins at random
    if config.full:
        return load_all_weights(job.base_path, job.adapter_path)
    return add_policy(load_base(job.base_path), job.adapter_path, config)


@torch.no_grad()
def check_packing(model: nn.Module) -> None:
    """Raise PipelineError unless texts laid end to end say what each says alone.

    Positions that begin anew are what tells them apart; whether a model's attention heeds that
    depends on its architecture and on how its attention is computed.
    """
    device = next(model.parameters()).device
    ids = torch.arange(8, 16, device=device).unsqueeze(0)
    positions = torch.arange(4, device=device).repeat(2).unsqueeze(0)
    packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    halves = [model(input_ids=part, use_cache=False).logits for part in ids.split(4, dim=1)]
    alone = torch.cat(halves, dim=1)
    if (packed - alone).abs().max() > PACKED_MAY_DIFFER * alone.abs().max():
        raise PipelineError(
            "In this model packed demonstrations would see each other: its attention does not heed "
            "where one ends. Turn packing off and start again."
        )


class DemonstrationTrainer(SFTTrainer):
    """TRL's trainer, with our pass over the demonstrations where it is the quicker one."""

    reads_quickly = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        found = None
        if self.reads_quickly and not return_outputs:
            found = completion_loss(
                model, inputs["input_ids"], inputs["attention_mask"], inputs["labels"]
            )
        if found is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["entropy"].append((found.entropy / found.tokens).item())
        metrics["mean_token_accuracy"].append((found.correct / found.tokens).item())
        return found.nll / (found.tokens if num_items_in_batch is None else num_items_in_batch)


def _trainer(
    job: Job,
    config: SFTConfig,
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    training: list[dict[str, list[int]]],
    held_out: list[dict[str, list[int]]],
    reporting: TrainerReporter,
) -> DemonstrationTrainer:
    share = config.batch_size // config.processes
    at_once = config.micro_batch_size or share
    trainer = DemonstrationTrainer(
        model=model,
        args=TRLConfig(
            output_dir=str(Path(job.work_dir) / "trainer"),
            learning_rate=config.learning_rate,
            per_device_train_batch_size=at_once,
            per_device_eval_batch_size=at_once,
            gradient_accumulation_steps=share // at_once,
            num_train_epochs=config.epochs,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            # too long rows were counted and left out already; packed ones need a width
            max_length=config.max_length if config.packing else None,
            packing=config.packing,
            eval_packing=False,
            completion_only_loss=True,
            seed=config.seed,
            logging_steps=1,
            logging_nan_inf_filter=False,  # the default hides a NaN step
            save_steps=config.checkpoint_every,
            save_total_limit=2,
            gradient_checkpointing=config.gradient_checkpointing,
            # An adapter's base already has the machine's type; all weights are held in float32.
            bf16=config.full and pick_dtype() == torch.bfloat16,
            use_cpu=pick_device().type == "cpu",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(training),
        eval_dataset=Dataset.from_list(held_out) if held_out else None,
        processing_class=tokenizer,
        callbacks=[reporting],
    )
    elsewhere = config.packing or config.gradient_checkpointing or config.processes > 1
    trainer.reads_quickly = (
        pick_device().type == "cpu"
        and is_plain(model)
        and not elsewhere
        and not trainer.aux_loss_enabled
    )
    return trainer
