"""Metrics to where a team keeps them: TensorBoard files always, another tracker by its name.

A tracker is somebody else's program: it is imported only when it was asked for, it must be
installed where the run is carried out, and how it signs in is its own matter (WANDB_API_KEY,
MLFLOW_TRACKING_URI …).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.pipeline.config import TrainConfig
from training.pipeline.errors import PipelineError
from training.pipeline.events import Report
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.tensorboard import FOLDER, EventFile

logger = logging.getLogger(__name__)

PROJECT = "labelstudio-llm"

Log = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Tracker:
    """A tracker that was opened: where metrics go, and how it is closed."""

    log: Log
    close: Callable[[], None]


def check(config: object) -> None:
    """Raise PipelineError where the named tracker is not installed here."""
    name = config.track_with if isinstance(config, TrainConfig) else ""
    if name and importlib.util.find_spec(name) is None:
        raise PipelineError(
            f"track_with asks for {name}, which is not installed where the run is carried out. "
            f"Install it there (pip install {name}), or leave track_with empty: TensorBoard files "
            "are written in any case."
        )


@contextmanager
def tracked(job: Job, report: Report) -> Iterator[Report]:
    """Yield what reports events and writes the metrics among them down, too.

    A tracker that fails while the run goes on, or at its end, is told once and left alone: losing a
    curve is no reason to lose the run.
    """
    trackers = open_trackers(job)

    def report_and_track(event: dict[str, Any]) -> None:
        report(event)
        if event["event"] != "metrics":
            return
        for tracker in list(trackers):
            try:
                tracker.log(event["step"], event["values"])
            except Exception as error:
                trackers.remove(tracker)
                logger.warning("Metrics are not tracked any more: %s", error)

    try:
        yield report_and_track
    finally:
        for tracker in trackers:
            try:
                tracker.close()
            except Exception as error:
                logger.warning("The tracker was not closed: %s", error)


def open_trackers(job: Job) -> list[Tracker]:
    """Return the run's trackers, TensorBoard's files first; of several processes one has them."""
    if not is_first() or not isinstance(job.config, TrainConfig):
        return []
    events = EventFile(Path(job.work_dir) / FOLDER)
    trackers = [Tracker(events.add, lambda: None)]
    if job.config.track_with:
        trackers.append(_open(job.config.track_with, job))
    return trackers


def _open(name: str, job: Job) -> Tracker:
    """Open the named tracker, before anything is loaded; PipelineError where it does not open."""
    try:
        return OPENERS[name](job)
    except Exception as error:  # somebody else's program, which may raise anything
        why = str(error).rstrip(".")
        raise PipelineError(
            f"track_with asks for {name}, which could not be opened: {why}. Sign in to it where "
            "the run is carried out, or leave track_with empty: TensorBoard files are written in "
            "any case.",
            change={"track_with": ""},
        ) from error


def _run_name(job: Job) -> str:
    stage, run = job.config.to_dict()["stage"], job.provenance.get("run")
    return f"{stage}-{run}" if run else Path(job.output_dir).name


def _wandb(job: Job) -> Tracker:
    wandb: Any = importlib.import_module("wandb")
    run = wandb.init(
        project=PROJECT, name=_run_name(job), config=job.config.to_dict(), dir=job.work_dir
    )
    return Tracker(lambda step, values: run.log(dict(values), step=step), run.finish)


def _trackio(job: Job) -> Tracker:
    trackio: Any = importlib.import_module("trackio")
    run = trackio.init(project=PROJECT, name=_run_name(job), config=job.config.to_dict())
    return Tracker(lambda step, values: run.log(dict(values), step=step), run.finish)


def _mlflow(job: Job) -> Tracker:
    mlflow: Any = importlib.import_module("mlflow")
    mlflow.set_experiment(PROJECT)
    mlflow.start_run(run_name=_run_name(job))
    mlflow.log_params(job.config.to_dict())
    return Tracker(lambda step, values: mlflow.log_metrics(dict(values), step=step), mlflow.end_run)


OPENERS: dict[str, Callable[[Job], Tracker]] = {
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
