"""What the stages on TRL's trainers for policies have in common: names, settings, resuming.

TRL keeps the reference as a frozen second adapter on the policy's base, a copy of what the policy
begins as. So policy and reference are one copy of the weights here as in PPO.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import Trainer

from training.pipeline.checkpoints import newest_whole
from training.pipeline.config import TrainConfig
from training.pipeline.errors import RunStopped
from training.pipeline.fused_head import suit_the_processor
from training.pipeline.jobs import Job
from training.pipeline.loading import pick_device
from training.pipeline.reporting import TrainerReporter

suit_the_processor()
POLICY = "default"
"""The adapter that TRL trains; it asks for it by this name."""
REFERENCE = "ref"
"""The adapter that TRL makes of it before the first step."""
TOKENS_AT_ONCE = 4096
"""Tokens whose activations are in memory at a time; see `training.pipeline.reward`."""


def settings(job: Job, config: TrainConfig) -> dict[str, Any]:
    """Return what every one of these trainers is told the same way."""
    return {
        "output_dir": str(Path(job.work_dir) / "trainer"),
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "seed": config.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # the default hides a NaN step
        "save_steps": config.checkpoint_every,
        "save_total_limit": 2,
        "gradient_checkpointing": False,
        "bf16": False,  # the weights already have the machine's type
        "use_cpu": pick_device().type == "cpu",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def batch_settings(batch_size: int, longest: int, *, fewest: int = 1) -> dict[str, int]:
    """Return how many rows of a batch are read together, and how often until a step.

    `longest` is the most tokens that a row holds. The gradients of the parts are added up, so that
    memory depends on TOKENS_AT_ONCE; what is learned is the same. A part has at least `fewest`
    rows.
    """
    fitting = min(batch_size, TOKENS_AT_ONCE // longest)
    parts = [n for n in range(fewest, batch_size + 1) if batch_size % n == 0]
    at_once = max((n for n in parts if n <= fitting), default=parts[0])
    return {
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": batch_size // at_once,
    }


def keep_reference(model: PeftModel) -> None:
    """Keep what the policy is now as the reference, unless TRL did so.

    GRPO without a price on the KL has no use for one, but the KL is told all the same.
    """
    if REFERENCE in model.peft_config:
        return
    model.add_adapter(REFERENCE, model.peft_config[POLICY])
    for name, weight in model.named_parameters():
        if f".{POLICY}." in name:
            copy = model.get_parameter(name.replace(f".{POLICY}.", f".{REFERENCE}."))
            copy.requires_grad_(False).data.copy_(weight.data)


def train_or_resume(trainer: Trainer, job: Job, reporting: TrainerReporter) -> None:
    """Train from the newest whole resume point on. Raise RunStopped when asked to stop."""
    resume = newest_whole(Path(job.work_dir) / "trainer", "checkpoint-*")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if reporting.stopped:
        raise RunStopped
