"""Starting runs, watching and stopping them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from annotations.api.operations import (
    DIGITS,
    LARGEST_ID,
    Answer,
    Body,
    Call,
    Operations,
    Query,
    Scope,
    Search,
)
from annotations.api.pages import Page, Paged, page_of
from training import access, outcomes, selectors, services
from training.models import Run, Stage
from training.pipeline.config import read_settings
from training.pipeline.errors import PipelineError

operations = Operations("Runs", refusals=(services.ServiceError, PipelineError))

LOG_PART = 2**18
"""Bytes of a log that are answered at once."""
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
TrainedStage = Literal["sft", "reward", "ppo", "dpo", "kto", "grpo", "rloo", "rejection"]


class RunOut(Answer):
    """One attempt after another at one stage, until it ends."""

    id: int
    stage: Stage
    state: Run.State
    config: dict[str, Any]
    parent: int
    snapshot: int | None
    reward_checkpoint: int | None
    checkpoint: int | None = Field(description="What it made, once it has succeeded.")
    priority: int
    attempt: int
    step: int
    total_steps: int
    phase: str
    results: dict[str, Any]
    error: str = Field(description="Of a failed run: what happened and what to do.")
    is_stopping: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class RunFilters(Paged):
    stage: Stage | None = None
    state: Run.State | None = None


class NewRun(Body):
    """A stage, what it starts from and what it learns from."""

    stage: TrainedStage
    parent: Id = Field(description="The checkpoint to start from.")
    snapshot: Id
    reward_checkpoint: Id | None = Field(None, description="Of stages that need a reward model.")
    config: dict[str, Any] = Field(
        {}, description="Settings of the stage; what is left out has its default."
    )


class NewSampling(Body):
    """Prompts to be answered by a checkpoint, and what people are to do with the answers."""

    prompts: Annotated[int, Field(ge=1, le=5000)] = Field(
        description="How many: those with the least work so far come first."
    )
    kind: Literal["comparison", "ranking", "rating", "rewrite", "assembly"]
    completions_per_prompt: Annotated[int, Field(ge=1, le=64)] = 4
    splits: list[Literal["train", "validation", "test"]] = ["train", "validation"]
    reward_checkpoint: Id | None = None
    config: dict[str, Any] = {}


class Changes(Body):
    """Settings that are to be other than before; null: those that would mend a failed run."""

    config: dict[str, Any] | None = None


class Priority(Body):
    """A place in line."""

    priority: Literal[-1, 0, 1]


class MetricFilters(Query):
    """Which numbers of a run."""

    name: Search | None = None
    after: Annotated[int, Field(ge=-1, le=2**31 - 1), DIGITS] = Field(
        -1, description="Steps above this one: `next` of the answer before."
    )
    limit: Annotated[int, Field(ge=1, le=1000), DIGITS] = 200


class Step(Answer):
    """The numbers of one step, named as TRL logs them."""

    step: int
    values: dict[str, float]


class Metrics(Answer):
    """Numbers of a run, in the order of its steps."""

    steps: list[Step]
    next: int | None = Field(description="`after` of the next steps; null where there are no more.")


class LogFilters(Query):
    """Which part of a log."""

    start: Annotated[int, Field(ge=0, le=2**53), DIGITS] = Field(
        0, description="The byte to begin at: `next` of the answer before."
    )


class LogPart(Answer):
    """A part of what a run's attempts wrote, cut behind a line where there is one."""

    text: str
    next: int = Field(description="`start` of the next part, also of what is not written yet.")


@operations.get("projects/<int:project_id>/runs")
def list_runs(call: Call, project_id: int, query: RunFilters) -> Page[RunOut]:
    """List the runs of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    same = query.model_dump(include={"stage", "state"}, exclude_none=True)
    return page_of(project.runs.filter(**same).select_related("checkpoint"), query, run_out)


@operations.post("projects/<int:project_id>/runs", Scope.TRAIN, status=201)
def start_run(call: Call, project_id: int, body: NewRun) -> RunOut:
    """Queue a training run. What can't work is refused before it is queued."""
    project = access.get_project_for(call.user, project_id)
    config = settings_of(body.stage, body.config)
    started = services.start_run(
        project, body.stage, config, **learning_from(call, body), started_by=call.user
    )
    return run_out(started)


@operations.get("runs/<int:run_id>")
def get_run(call: Call, run_id: int) -> RunOut:
    """Show a run. Owners and engineers of its project can."""
    return run_out(access.get_run_for(call.user, run_id))


@operations.get("runs/<int:run_id>/metrics")
def get_metrics(call: Call, run_id: int, query: MetricFilters) -> Metrics:
    """Read the numbers of a run, step by step; of one that runs, ask again with `next`."""
    run = access.get_run_for(call.user, run_id)
    found = selectors.metrics_by_step(run, query.after, query.limit + 1, query.name)
    steps = [Step(step=step, values=values) for step, values in found]
    following = steps[query.limit - 1].step if len(steps) > query.limit else None
    return Metrics(steps=steps[: query.limit], next=following)


@operations.get("runs/<int:run_id>/log")
def get_log(call: Call, run_id: int, query: LogFilters) -> LogPart:
    """Read what a run's attempts wrote; of one that runs, ask again with `next`."""
    run = access.get_run_for(call.user, run_id)
    log = outcomes.log_file(run)
    if log is None:
        return LogPart(text="", next=query.start)
    with log.open("rb") as file:
        file.seek(min(query.start, log.stat().st_size))
        part = file.read(LOG_PART)
    lines = part[: part.rfind(b"\n") + 1]
    if len(part) == LOG_PART:
        part = lines or _whole_characters(part)
    elif run.state not in Run.TERMINAL:
        part = lines  # the last one is still being written
    return LogPart(text=part.decode("utf-8", "replace"), next=query.start + len(part))


def _whole_characters(part: bytes) -> bytes:
    """Return bytes without a character at their end that goes on behind it."""
    while part and part[-1] & 0xC0 == 0x80:
        part = part[:-1]
    return part[:-1] if part and part[-1] >= 0xC0 else part


@operations.post("runs/<int:run_id>/cancel", Scope.TRAIN)
def cancel_run(call: Call, run_id: int) -> RunOut:
    """Cancel a queued run at once; ask a running one to stop. An ended run stays as it ended."""
    run = access.get_run_for(call.user, run_id)
    services.request_cancel(run, call.user)
    return run_out(run)


@operations.post("runs/<int:run_id>/resume", Scope.TRAIN, status=201)
def resume_run(call: Call, run_id: int, body: Changes) -> RunOut:
    """Start a run that ended once more, from the same checkpoint and data, perhaps otherwise.

    A run that was cut off resumes by itself, from where it was; nobody has to ask for that.
    """
    run = access.get_run_for(call.user, run_id)
    if run.state not in Run.TERMINAL:
        raise services.ServiceError(f"{run} has not ended. Cancel it first, or let it go on.")
    changes = run.remedy if body.config is None else body.config
    started = services.start_run(
        run.project,
        run.stage,
        settings_of(run.stage, run.config | changes),
        parent=run.parent,
        snapshot=run.snapshot,
        reward_checkpoint=run.reward_checkpoint,
        started_by=call.user,
    )
    return run_out(started)


@operations.put("runs/<int:run_id>/priority", Scope.TRAIN)
def set_priority(call: Call, run_id: int, body: Priority) -> RunOut:
    """Give a waiting run another place in line: 1 goes first, -1 last."""
    run = access.get_run_for(call.user, run_id)
    services.set_priority(run, body.priority, call.user)
    return run_out(run)


@operations.post("checkpoints/<int:checkpoint_id>/completions", Scope.TRAIN, status=201)
def request_completions(call: Call, checkpoint_id: int, body: NewSampling) -> RunOut:
    """Let a checkpoint answer prompts, and ask people about the answers."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    reward = body.reward_checkpoint
    started = services.request_completions(
        checkpoint.project,
        checkpoint=checkpoint,
        prompts=selectors.least_covered(checkpoint.project, body.splits, body.prompts),
        completions_per_prompt=body.completions_per_prompt,
        kind=body.kind,
        started_by=call.user,
        config=settings_of(Stage.SAMPLE, body.config),
        reward_checkpoint=access.get_checkpoint_for(call.user, reward) if reward else None,
    )
    return run_out(started)


def learning_from(call: Call, body: NewRun) -> dict[str, Any]:
    """Return what a run starts from and learns from, where its caller may see all of it."""
    reward = body.reward_checkpoint
    return {
        "parent": access.get_checkpoint_for(call.user, body.parent),
        "snapshot": access.get_snapshot_for(call.user, body.snapshot),
        "reward_checkpoint": access.get_checkpoint_for(call.user, reward) if reward else None,
    }


def settings_of(stage: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return settings as they are read from a file, with the same checks."""
    return read_settings(json.dumps(config), stage) if config else {}


def run_out(run: Run) -> RunOut:
    """Return a run as it is answered."""
    checkpoint = getattr(run, "checkpoint", None)
    return RunOut(
        id=run.pk,
        stage=Stage(run.stage),
        state=Run.State(run.state),
        config=run.config,
        parent=run.parent_id,
        snapshot=run.snapshot_id,
        reward_checkpoint=run.reward_checkpoint_id,
        checkpoint=checkpoint.pk if checkpoint else None,
        priority=run.priority,
        attempt=run.attempt,
        step=run.step,
        total_steps=run.total_steps,
        phase=run.phase,
        results=run.results,
        error=run.error,
        is_stopping=run.cancel_requested_at is not None and run.state not in Run.TERMINAL,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )
