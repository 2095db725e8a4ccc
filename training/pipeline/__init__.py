"""Turn a snapshot into a checkpoint: from a notebook, a test or a worker.

No Django and no Celery here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.pipeline.config import Job
    from training.pipeline.events import Report
    from training.pipeline.reporting import ShouldStop


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run hands over."""

    results: dict[str, Any]
    output: Path


def train(job: Job, *, report: Report, should_stop: ShouldStop) -> TrainingResult:
    """Carry out one job: resume where it stopped, publish its output whole, return its results.

    Raise PipelineError for what the engineer can mend, RunStopped when `should_stop` said so.
    A job whose output is there already is done.
    """
    from training.pipeline import dpo, export, grpo, kto, ppo, rejection, reward, rloo, sample, sft
    from training.pipeline.checkpoints import is_whole, read_manifest
    from training.pipeline.config import (
        DPOConfig,
        ExportConfig,
        GRPOConfig,
        KTOConfig,
        PPOConfig,
        RejectionConfig,
        RewardConfig,
        RLOOConfig,
        SampleConfig,
        SFTConfig,
    )
    from training.pipeline.reporting import Reporter

    output = Path(job.output_dir)
    if is_whole(output):
        return TrainingResult(read_manifest(output).get("results", {}), output)
    Path(job.work_dir).mkdir(parents=True, exist_ok=True)
    reporter = Reporter(report, should_stop)
    match job.config:
        case SFTConfig():
            results = sft.train(job, job.config, reporter)
        case RewardConfig():
            results = reward.train(job, job.config, reporter)
        case PPOConfig():
            results = ppo.train(job, job.config, reporter)
        case DPOConfig():
            results = dpo.train(job, job.config, reporter)
        case KTOConfig():
            results = kto.train(job, job.config, reporter)
        case GRPOConfig():
            results = grpo.train(job, job.config, reporter)
        case RLOOConfig():
            results = rloo.train(job, job.config, reporter)
        case RejectionConfig():
            results = rejection.train(job, job.config, reporter)
        case SampleConfig():
            results = sample.train(job, job.config, reporter)
        case ExportConfig():
            results = export.train(job, job.config, reporter)
    return TrainingResult(results, output)
