"""Measuring a checkpoint beside another, by itself, on held-out prompts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from django.http import Http404
from pydantic import Field

from annotations.api.operations import (
    LARGEST_ID,
    Answer,
    Body,
    Call,
    IdInAddress,
    Operations,
    Scope,
)
from annotations.api.pages import Page, Paged, page_of
from training import access, selectors, services
from training.api.regressions import CheckedOut, checked_out
from training.api.runs import RunOut, run_out, settings_of
from training.forms.plain import MOST_PROMPTS
from training.models import Checkpoint, Run, Stage
from training.pipeline.errors import PipelineError

if TYPE_CHECKING:
    from django.db.models import QuerySet

operations = Operations("Suites", refusals=(services.ServiceError, PipelineError))

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class SuiteOut(Answer):
    """A suite: a run that measured a child beside a parent."""

    run: int
    state: Run.State
    child: int
    parent: int = Field(description="It may have been deleted since.")
    reward_checkpoint: int | None
    split: str
    created_at: datetime


class TriedOut(Answer):
    """A regression case as a suite tried it, by its check of that time."""

    child: CheckedOut
    parent: CheckedOut


class SuiteResult(SuiteOut):
    """A suite with what it measured; nothing of that before it has succeeded."""

    results: dict[str, Any] = Field(
        description="`table`: of each property the child's value, the parent's and the difference, "
        "with 95 % intervals over prompts; `win_rate` by the reward model; `examples`."
    )
    cases: list[TriedOut]


class SuiteFilters(Paged):
    checkpoint: IdInAddress | None = Field(None, description="The child.")


class NewSuite(Body):
    """What the checkpoint is measured beside, on which prompts, and by which reward model."""

    against: Id
    reward_checkpoint: Id | None = None
    split: Literal["test", "validation"] = "test"
    limit: Annotated[int, Field(ge=2, le=MOST_PROMPTS)] = Field(64, description="Prompts at most.")
    config: dict[str, Any] = Field(
        {}, description="Settings of the stage `suite`; what is left out has its default."
    )


@operations.get("projects/<int:project_id>/suites")
def list_suites(call: Call, project_id: int, query: SuiteFilters) -> Page[SuiteOut]:
    """List the suites of a project, in any state. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    found: QuerySet[Run] = selectors.suites_of(project)
    if query.checkpoint is not None:
        found = found.filter(parent=query.checkpoint)
    return page_of(found, query, _suite)


@operations.get("suites/<int:run_id>")
def get_suite(call: Call, run_id: int) -> SuiteResult:
    """Show what a suite measured. Owners and engineers of its project can."""
    run = access.get_run_for(call.user, run_id)
    if run.stage != Stage.SUITE:
        raise Http404("That run is no evaluation suite.")
    return SuiteResult(
        **_suite(run).model_dump(),
        results=run.results,
        cases=[
            TriedOut(child=checked_out(one.child), parent=checked_out(one.parent))
            for one in selectors.tried_cases(run)
        ],
    )


@operations.post("checkpoints/<int:checkpoint_id>/suites", Scope.TRAIN, status=201)
def start_suite(call: Call, checkpoint_id: int, body: NewSuite) -> RunOut:
    """Queue a run that measures a checkpoint beside another and tries the regression cases."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        raise services.ServiceError("A reward model writes no answers that could be measured.")
    reward = body.reward_checkpoint
    started = services.start_suite(
        checkpoint.project,
        child=checkpoint,
        parent=access.get_checkpoint_for(call.user, body.against),
        reward_checkpoint=access.get_checkpoint_for(call.user, reward) if reward else None,
        split=body.split,
        limit=body.limit,
        config=settings_of(Stage.SUITE, body.config),
        started_by=call.user,
    )
    return run_out(started)


def _suite(run: Run) -> SuiteOut:
    return SuiteOut(
        run=run.pk,
        state=Run.State(run.state),
        child=run.parent_id,
        parent=run.request["rival_checkpoint_id"],
        reward_checkpoint=run.reward_checkpoint_id,
        split=run.request.get("split", "test"),
        created_at=run.created_at,
    )
