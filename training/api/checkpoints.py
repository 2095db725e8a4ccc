"""Checkpoints, how they compare, and which one is in force."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from annotations.api.operations import (
    LARGEST_ID,
    Answer,
    Body,
    Call,
    Flag,
    IdInAddress,
    Operations,
    Query,
    Scope,
    Search,
)
from annotations.api.pages import Page, Paged, page_of
from training import access, artifacts, board_files, selectors, services
from training.models import Checkpoint, Evaluation
from training.services.checkpoints import LONGEST_NAME

operations = Operations("Checkpoints", refusals=(services.ServiceError,))

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class CheckpointOut(Answer):
    """A base model, or what a run made of one."""

    id: int
    name: str
    kind: Checkpoint.Kind
    parent: int | None
    run: int | None
    manifest: dict[str, Any] = Field(
        description="Hashes of its files, its snapshot, settings, seed and metrics."
    )
    is_promoted: bool = Field(description="Whether it answers the prompts of its project.")
    created_at: datetime


class CheckpointFilters(Paged):
    kind: Checkpoint.Kind | None = None


class BaseModelOut(Answer):
    """A model on this site that projects can start from."""

    folder: str
    checkpoint: int | None = Field(description="Its checkpoint here; null: it is not added yet.")


class BaseModels(Answer):
    """The models on this site that projects can start from."""

    models: list[BaseModelOut]


class NewBase(Body):
    """A model that the project is to start from."""

    folder: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="The name of its folder, as the list has it."
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)] | None = Field(
        None, description="Null: the folder's name."
    )


class Reason(Body):
    """Why a checkpoint shall answer the prompts from now on."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    override: bool = Field(False, description="Though the gate is closed. Owners only.")


class Rate(Answer):
    """A rate with its 95 % interval."""

    n: int
    rate: float
    low: float
    high: float


class ConditionOut(Answer):
    """One thing that the gate asks for, and how it stands."""

    title: str
    wanted: str
    found: str
    is_met: bool
    refusal: str


class EvaluationOut(Answer):
    """A blind comparison of a child with another checkpoint on held-out prompts."""

    id: int
    child: int
    parent: int
    run: int
    created_at: datetime


class EvaluationResult(EvaluationOut):
    """An evaluation, as the votes are at this moment."""

    win_rate: Rate
    so_far: Rate = Field(description="Over the prompts that are finished, valid at every look.")
    wins: int
    ties: int
    losses: int
    gate: list[ConditionOut]


class EvaluationFilters(Paged):
    child: IdInAddress | None = None


class NewEvaluation(Body):
    """What the checkpoint is held against, and on which prompts."""

    against: Id
    split: Literal["test", "validation"] = "test"
    limit: Annotated[int, Field(ge=1, le=5000)] | None = Field(
        None, description="Prompts at most; null takes all."
    )


class BoardFilters(Query):
    """What the board is reckoned from."""

    tag: Search | None = Field(None, description="Prompts with this tag alone.")
    with_marked: Flag = Field(False, description="With votes that something speaks against.")


class BoardLine(Answer):
    """A checkpoint on the board."""

    rank: int
    checkpoint: str
    checkpoint_id: int
    rating: float
    low: float
    high: float
    battles: int
    wins: int
    ties: int
    losses: int
    both_bad: int
    people: int


class BoardOut(Answer):
    """How the checkpoints of a project compare by what people said, blind; best first."""

    votes: int
    counted: int
    lines: list[BoardLine]


@operations.get("projects/<int:project_id>/checkpoints")
def list_checkpoints(call: Call, project_id: int, query: CheckpointFilters) -> Page[CheckpointOut]:
    """List the checkpoints of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    found = project.checkpoints.all()
    if query.kind is not None:
        found = found.filter(kind=query.kind)
    promoted = selectors.promoted_checkpoint(project)
    return page_of(found, query, lambda one: _checkpoint(one, one == promoted))


@operations.get("projects/<int:project_id>/base-models")
def list_base_models(call: Call, project_id: int) -> BaseModels:
    """List the models on this site that a project can start from, and which it has already.

    Whoever runs the site puts them there.
    """
    project = access.get_project_for(call.user, project_id)
    added = dict(project.checkpoints.filter(kind=Checkpoint.Kind.BASE).values_list("path", "id"))
    return BaseModels(
        models=[
            BaseModelOut(folder=folder.name, checkpoint=added.get(str(folder)))
            for folder in artifacts.base_folders()
        ]
    )


@operations.post("projects/<int:project_id>/base-models", Scope.TRAIN, status=201)
def add_base_model(call: Call, project_id: int, body: NewBase) -> CheckpointOut:
    """Let a project start from a model on this site, if that is whole and safe to load.

    Adding it again changes nothing.
    """
    project = access.get_project_for(call.user, project_id)
    folders = {folder.name: folder for folder in artifacts.base_folders()}
    if body.folder not in folders:
        raise services.ServiceError(
            f"There is no model {body.folder} on this site. There are: "
            f"{', '.join(folders) or 'none'}."
        )
    folder = folders[body.folder]
    there = project.checkpoints.filter(kind=Checkpoint.Kind.BASE, path=str(folder)).first()
    if there is not None:
        return _shown(there)
    added = services.register_base(
        project, str(folder), body.name or folder.name, created_by=call.user
    )
    return _shown(added)


@operations.get("checkpoints/<int:checkpoint_id>")
def get_checkpoint(call: Call, checkpoint_id: int) -> CheckpointOut:
    """Show a checkpoint. Owners and engineers of its project can."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return _shown(checkpoint)


@operations.post("checkpoints/<int:checkpoint_id>/promote", Scope.TRAIN)
def promote_checkpoint(call: Call, checkpoint_id: int, body: Reason) -> CheckpointOut:
    """Let a checkpoint answer the prompts of its project, if the gate is open."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    services.promote_checkpoint(
        checkpoint,
        promoted_by=call.user,
        reason=body.reason,
        evaluation=selectors.deciding_evaluation(checkpoint),
        override=body.override,
    )
    return _shown(checkpoint)


@operations.get("projects/<int:project_id>/evaluations")
def list_evaluations(call: Call, project_id: int, query: EvaluationFilters) -> Page[EvaluationOut]:
    """List the evaluations of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    found = project.evaluations.all()
    if query.child is not None:
        found = found.filter(child_id=query.child)
    return page_of(found, query, _evaluation)


@operations.post("checkpoints/<int:checkpoint_id>/evaluate", Scope.TRAIN, status=201)
def start_evaluation(call: Call, checkpoint_id: int, body: NewEvaluation) -> EvaluationOut:
    """Let two checkpoints answer held-out prompts, for people to compare blind."""
    child = access.get_checkpoint_for(call.user, checkpoint_id)
    started = services.start_evaluation(
        child.project,
        child=child,
        parent=access.get_checkpoint_for(call.user, body.against),
        split=body.split,
        limit=body.limit,
        started_by=call.user,
    )
    return _evaluation(started)


@operations.get("evaluations/<int:evaluation_id>")
def get_evaluation(call: Call, evaluation_id: int) -> EvaluationResult:
    """Show an evaluation with its win rate and what the gate says, as the votes are now."""
    evaluation = access.get_evaluation_for(call.user, evaluation_id)
    result = selectors.evaluation_result(evaluation)
    so_far = selectors.result_so_far(evaluation)
    return EvaluationResult(
        **_evaluation(evaluation).model_dump(),
        win_rate=Rate(n=result.n, rate=result.rate, low=result.low, high=result.high),
        so_far=Rate(n=so_far.n, rate=so_far.rate, low=so_far.low, high=so_far.high),
        wins=result.wins,
        ties=result.ties,
        losses=result.losses,
        gate=[
            ConditionOut(
                title=one.title,
                wanted=one.wanted,
                found=one.found,
                is_met=one.is_met,
                refusal=one.refusal,
            )
            for one in selectors.gate_conditions(evaluation)
        ],
    )


@operations.get("projects/<int:project_id>/leaderboard")
def get_leaderboard(call: Call, project_id: int, query: BoardFilters) -> BoardOut:
    """Show how checkpoints compare by what people said. Owners, engineers and reviewers can."""
    project = access.get_board_for(call.user, project_id)
    wish = selectors.Wish(tag=query.tag or "", with_marked=query.with_marked)
    board = selectors.leaderboard(project, wish)
    names = dict(project.checkpoints.values_list("id", "name"))
    lines = board_files.board_rows(board, names)
    wanted = BoardLine.model_fields
    return BoardOut(
        votes=board.votes,
        counted=board.counted,
        lines=[BoardLine(**{name: line[name] for name in wanted}) for line in lines],
    )


def _shown(checkpoint: Checkpoint) -> CheckpointOut:
    promoted = selectors.promoted_checkpoint(checkpoint.project)
    return _checkpoint(checkpoint, checkpoint == promoted)


def _checkpoint(checkpoint: Checkpoint, is_promoted: bool) -> CheckpointOut:
    return CheckpointOut(
        id=checkpoint.pk,
        name=checkpoint.name,
        kind=Checkpoint.Kind(checkpoint.kind),
        parent=checkpoint.parent_id,
        run=checkpoint.run_id,
        manifest=checkpoint.manifest,
        is_promoted=is_promoted,
        created_at=checkpoint.created_at,
    )


def _evaluation(evaluation: Evaluation) -> EvaluationOut:
    return EvaluationOut(
        id=evaluation.pk,
        child=evaluation.child_id,
        parent=evaluation.parent_id,
        run=evaluation.run_id,
        created_at=evaluation.created_at,
    )
