"""Turn a snapshot into a checkpoint: from a notebook, a test or a worker.

No Django and no Celery here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Threads that wait give way. By default those of torch turn round at full speed, and of two
# processes beside each other each then comes on at a tenth of its pace. Read as torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from training.pipeline.events import Report
    from training.pipeline.jobs import Job
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
    from training.pipeline import preflight
    from training.pipeline.checkpoints import is_whole, read_manifest
    from training.pipeline.tracking import tracked

    output = Path(job.output_dir)
    if is_whole(output):
        return TrainingResult(read_manifest(output).get("results", {}), output)
    if job.external is not None:  # no model is loaded, so nothing of what follows is needed
        from training.pipeline import external

        Path(job.work_dir).mkdir(parents=True, exist_ok=True)
        return TrainingResult(external.train(job, report, should_stop), output)
    preflight.check(job)
    Path(job.work_dir).mkdir(parents=True, exist_ok=True)
    # After what can be told at once, and this stage alone: the libraries take seconds to load.
    from training.pipeline.reporting import Reporter

    stage = import_module(f"training.pipeline.{job.config.stage}")
    with tracked(job, report) as report:
        results = stage.train(job, job.config, Reporter(report, should_stop))
    return TrainingResult(results, output)
