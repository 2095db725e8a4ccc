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
    IdInAddress,
    Operations,
    Scope,
)
from annotations.api.pages import Page, Paged, page_of
from training import access, artifacts, examples, fetches, selectors, services
from training.api.promotions import ConditionOut, condition_out
from training.api.runs import RunOut, run_out
from training.models import Checkpoint, Evaluation
from training.services.bases import LONGEST_NAME

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


class WantedBase(Body):
    """A model of a hub that the project is to start from."""

    repo: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)] = Field(
        description="Like HuggingFaceTB/SmolLM2-360M-Instruct."
    )
    revision: Annotated[str, StringConstraints(max_length=LONGEST_NAME)] = Field(
        "", description="A branch, a tag or a commit. Empty: the newest."
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)] | None = Field(
        None, description="Null: the name on the hub."
    )


class UnwantedBase(Body):
    """A model that is not to be fetched any more."""

    folder: Annotated[str, StringConstraints(min_length=1, max_length=255)]


class FetchOut(Answer):
    """A model of a hub that is on its way, or stopped on an error."""

    repo: str
    revision: str
    name: str = Field(description="Of the checkpoint that it becomes.")
    folder: str
    done_bytes: int
    total_bytes: int = Field(description="0 until its files are known.")
    error: str = Field(description="Why it stopped: ask again to go on. Empty: it goes on.")


class Fetches(Answer):
    """The models of a hub that a project waits for."""

    fetches: list[FetchOut]


class WhyPromoted(Body):
    """Why a checkpoint shall answer the prompts from now on."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    override: bool = Field(False, description="Though the gate is closed. Owners only.")


class WhyDeleted(Body):
    """Why something is deleted. It is kept for good in the audit log, with the hashes."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Precision(Body):
    """How a plain model is written."""

    half_precision: bool = False


class ModelCard(Answer):
    """The README.md of a checkpoint."""

    text: str = Field(description="Markdown, with the metadata that hubs read.")


class RebuildOut(Answer):
    """A run that made a checkpoint once more, and how what it made compares."""

    run: int
    made: int | None = Field(description="Null until it has ended.")
    is_identical: bool
    differing: list[str] = Field(description="Files that are not the same.")
    reasons: list[str] = Field(description="What else was not the same: the code, the device.")


class Rebuilds(Answer):
    """The runs that made a checkpoint once more."""

    rebuilds: list[RebuildOut]


class Rate(Answer):
    """A rate with its 95 % interval."""

    n: int
    rate: float
    low: float
    high: float


class EvaluationOut(Answer):
    """A blind comparison of a child with another checkpoint on held-out prompts."""

    id: int
    child: int
    parent: int
    run: int
    created_at: datetime


class ExampleOut(Answer):
    """A prompt with both answers and what people said of them."""

    item_id: int
    prompt: str
    child: str
    parent: str
    verdicts: list[Literal["child", "tie", "both_bad", "parent"]]


class EvaluationResult(EvaluationOut):
    """An evaluation, as the votes are at this moment."""

    win_rate: Rate
    so_far: Rate = Field(description="Over the prompts that are finished, valid at every look.")
    wins: int
    ties: int
    losses: int
    gate: list[ConditionOut]
    items: int = Field(description="Pairs that people are asked about.")
    votes_wanted: int
    votes_given: int
    examples: list[ExampleOut] = Field(
        description="None before all votes are in: whoever may still vote is not to know them."
    )


class EvaluationFilters(Paged):
    child: IdInAddress | None = None


class NewEvaluation(Body):
    """What the checkpoint is held against, and on which prompts."""

    against: Id
    split: Literal["test", "validation"] = "test"
    limit: Annotated[int, Field(ge=1, le=5000)] | None = Field(
        None, description="Prompts at most; null takes all."
    )


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


@operations.get("projects/<int:project_id>/base-models/fetches")
def list_fetches(call: Call, project_id: int) -> Fetches:
    """List the models of a hub that are on their way. One that is whole is a checkpoint."""
    project = access.get_project_for(call.user, project_id)
    return Fetches(fetches=[_fetch(one, state) for one, state in fetches.fetches_of(project.pk)])


@operations.post("projects/<int:project_id>/base-models/fetches", Scope.TRAIN, status=201)
def fetch_base_model(call: Call, project_id: int, body: WantedBase) -> FetchOut:
    """Have a worker bring a model of a hub, where this site has one. Again goes on."""
    project = access.get_project_for(call.user, project_id)
    fetch = services.fetch_base(
        project, body.repo, revision=body.revision, name=body.name or "", created_by=call.user
    )
    return _fetch(fetch, fetches.state_of(fetch))


@operations.post("projects/<int:project_id>/base-models/fetches/stop", Scope.TRAIN)
def stop_fetching(call: Call, project_id: int, body: UnwantedBase) -> Fetches:
    """Stop a fetch, or forget one that failed. What came stays for the next time. Twice is once."""
    project = access.get_project_for(call.user, project_id)
    services.stop_fetch(project, body.folder)
    return list_fetches(call, project_id)


@operations.get("checkpoints/<int:checkpoint_id>")
def get_checkpoint(call: Call, checkpoint_id: int) -> CheckpointOut:
    """Show a checkpoint. Owners and engineers of its project can."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return _shown(checkpoint)


@operations.post("checkpoints/<int:checkpoint_id>/promote", Scope.TRAIN)
def promote_checkpoint(call: Call, checkpoint_id: int, body: WhyPromoted) -> CheckpointOut:
    """Let a checkpoint answer the prompts of its project, if the gate is open.

    A round that is open ends with it.
    """
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    services.promote_checkpoint(
        checkpoint,
        promoted_by=call.user,
        reason=body.reason,
        evaluation=selectors.deciding_evaluation(checkpoint),
        override=body.override,
    )
    return _shown(checkpoint)


@operations.get("checkpoints/<int:checkpoint_id>/card")
def get_model_card(call: Call, checkpoint_id: int) -> ModelCard:
    """Show the model card of a checkpoint, as it is written beside its files elsewhere."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return ModelCard(text=selectors.model_card(checkpoint))


@operations.post("checkpoints/<int:checkpoint_id>/export", Scope.TRAIN, status=201)
def export_checkpoint(call: Call, checkpoint_id: int, body: Precision) -> RunOut:
    """Queue a run that merges a policy's adapter into its base and leaves a plain model."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    started = services.request_export(
        checkpoint, half_precision=body.half_precision, started_by=call.user
    )
    return run_out(started)


@operations.get("checkpoints/<int:checkpoint_id>/rebuilds")
def list_rebuilds(call: Call, checkpoint_id: int) -> Rebuilds:
    """Show what came out when a checkpoint was made once more."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return Rebuilds(
        rebuilds=[
            RebuildOut(
                run=one.run.pk,
                made=one.made.pk if one.made else None,
                is_identical=one.is_identical,
                differing=one.differing,
                reasons=one.reasons,
            )
            for one in selectors.rebuilds_of(checkpoint)
        ]
    )


@operations.post("checkpoints/<int:checkpoint_id>/rebuilds", Scope.TRAIN, status=201)
def rebuild_checkpoint(call: Call, checkpoint_id: int) -> RunOut:
    """Queue the run of a checkpoint again: the same settings, seed, snapshot and parent."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return run_out(services.rebuild(checkpoint, started_by=call.user))


@operations.post("checkpoints/<int:checkpoint_id>/delete", Scope.TRAIN)
def delete_checkpoint(call: Call, checkpoint_id: int, body: WhyDeleted) -> None:
    """Delete a checkpoint and its files, for good, if nothing depends on it."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    services.delete_checkpoint(checkpoint, deleted_by=call.user, reason=body.reason)


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
    votes = examples.votes(evaluation)
    return EvaluationResult(
        **_evaluation(evaluation).model_dump(),
        win_rate=Rate(n=result.n, rate=result.rate, low=result.low, high=result.high),
        so_far=Rate(n=so_far.n, rate=so_far.rate, low=so_far.low, high=so_far.high),
        wins=result.wins,
        ties=result.ties,
        losses=result.losses,
        gate=[condition_out(one) for one in selectors.gate_conditions(evaluation)],
        items=votes.items,
        votes_wanted=votes.wanted,
        votes_given=votes.given,
        examples=[ExampleOut(**vars(one)) for one in examples.examples(evaluation)],
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


def _fetch(fetch: fetches.Fetch, state: fetches.State) -> FetchOut:
    return FetchOut(
        repo=fetch.repo,
        revision=fetch.revision,
        name=fetch.name,
        folder=fetch.folder.name,
        done_bytes=state.done,
        total_bytes=state.total,
        error=state.error,
    )


def _evaluation(evaluation: Evaluation) -> EvaluationOut:
    return EvaluationOut(
        id=evaluation.pk,
        child=evaluation.child_id,
        parent=evaluation.parent_id,
        run=evaluation.run_id,
        created_at=evaluation.created_at,
    )
