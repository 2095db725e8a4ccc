"""Supervised fine-tuning on demonstrations, with TRL's SFTTrainer and LoRA.

Ouyang et al. 2022 (arXiv:2203.02155), §3.5: the loss is on the completion only. Left out: packing
(demonstrations are short) and the mix with pre-training data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig as TRLConfig
from trl import SFTTrainer

from training.pipeline import data
from training.pipeline.checkpoints import newest_whole
from training.pipeline.config import Job, SFTConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.loading import add_policy, load_base, load_tokenizer, pick_device
from training.pipeline.publishing import publish_adapter
from training.pipeline.reporting import Reporter, TrainerReporter
from training.pipeline.samples import before_and_after, write_samples


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
    if len(training.rows) < config.min_rows:
        raise PipelineError(
            f"This snapshot has {len(training.rows)} demonstrations to train on that fit in "
            f"{config.max_length} tokens; at least {config.min_rows} are needed. Collect more "
            "demonstrations, raise max_length or lower min_rows."
        )
    torch.manual_seed(config.seed)  # a new adapter begins at random
    model = add_policy(load_base(job.base_path), job.adapter_path, config)
    shown = data.prompts(rows, tokenizer, data.HELD_OUT) or data.prompts(rows, tokenizer, None)
    before = write_samples(model, tokenizer, shown, config.seed, reporter)

    reporter.phase("preparing the training")
    reporting = TrainerReporter(reporter, config.learning_rate)
    trainer = _trainer(job, config, model, tokenizer, training.rows, held_out.rows, reporting)
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
    after = write_samples(model, tokenizer, shown, config.seed, reporter)
    reporter.samples(before_and_after(shown, before, after))
    reporter.phase("publishing the checkpoint")
    publish_adapter(job, model, tokenizer, "policy", results)
    return results


def _trainer(
    job: Job,
    config: SFTConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    training: list[dict[str, list[int]]],
    held_out: list[dict[str, list[int]]],
    reporting: TrainerReporter,
) -> SFTTrainer:
    return SFTTrainer(
        model=model,
        args=TRLConfig(
            output_dir=str(Path(job.work_dir) / "trainer"),
            learning_rate=config.learning_rate,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=config.batch_size,
            num_train_epochs=config.epochs,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            max_length=None,  # too long rows were counted and left out already
            completion_only_loss=True,
            seed=config.seed,
            logging_steps=1,
            logging_nan_inf_filter=False,  # the default hides a NaN step
            save_steps=config.checkpoint_every,
            save_total_limit=2,
            gradient_checkpointing=False,
            bf16=False,  # the weights already have the machine's type
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
