"""Annotations that are not to be learned from any more, and making again what had learnt from them.

Nothing is deleted. Owners recall and lift; engineers see what is recalled, people being pseudonyms.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from annotations import exports
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from annotations.services.recalls import MAX_REASON_CHARS
from training import access, selectors, services
from training.api.runs import RunOut, run_out

if TYPE_CHECKING:
    from annotations.models import Project

operations = Operations("Recalls", refusals=(services.ServiceError,))

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON_CHARS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
NOTHING = "There is nothing of this to recall: {}. Choose among what people handed in."


class RecallOut(Answer):
    """What is not to be learned from any more. It is in force until it is lifted."""

    id: int
    what: str = Field(description="In words.")
    annotator: str | None = Field(description="A pseudonym.")
    guideline_version: int | None
    batch: str
    since: datetime | None
    until: datetime | None
    reason: str
    by: str
    created_at: datetime
    lifted_at: datetime | None
    lift_reason: str


class Marked(Answer):
    """What annotations there are of a choice, and everything that descends from them."""

    annotations: int
    annotators: int
    items: int
    votes: int
    snapshots: dict[int, int] = Field(description="By snapshot: how many of them it holds.")
    runs: list[int]
    checkpoints: list[int]
    evaluations: dict[int, int] = Field(description="By evaluation: how many votes it loses.")
    promotions: list[int]
    promoted: int | None = Field(description="The checkpoint in force, if it is one of them.")


class RecallWithMarked(RecallOut):
    """A recall, and everything that descends from what it takes out."""

    marked: Marked


class Choice(Body):
    """Whose annotations, under which guidelines, in which batch and when. All given must hold."""

    annotator: Name | None = Field(None, description="A pseudonym.")
    guideline_version: Id | None = None
    batch: Name | None = Field(None, description="What one sampling run or import made.")
    since: AwareDatetime | None = Field(None, description="Handed in since.")
    until: AwareDatetime | None = Field(None, description="Handed in before.")


class NewRecall(Choice):
    """What to recall, and why."""

    reason: Words
    pause: bool = Field(False, description="Hand the annotator nothing more until resumed.")


class Lift(Body):
    """Why it counts again."""

    reason: Words


class CleanStepOut(Answer):
    """A checkpoint that is to be made again without what was recalled."""

    original: int
    state: selectors.CleanState
    run: int | None
    clean: int | None


class CleanLine(Answer):
    """What to make again for a clean counterpart of a checkpoint, in that order."""

    steps: list[CleanStepOut] = Field(description="None if nothing behind it is recalled.")


class Started(Answer):
    """Runs that were queued."""

    runs: list[RunOut]


@operations.get("projects/<int:project_id>/recalls")
def list_recalls(call: Call, project_id: int, query: Paged) -> Page[RecallOut]:
    """List what was recalled, lifted ones included. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return page_of(exports.recalls(project.pk), query, _recall)


@operations.post("projects/<int:project_id>/recalls/preview", Scope.READ)
def preview_recall(call: Call, project_id: int, body: Choice) -> Marked:
    """Show what a recall would take out, and what descends from it. Nothing is done. Owners can."""
    project = access.get_own_project_for(call.user, project_id)
    return _marked(selectors.descendants(project, [_scope(project, body)]))


@operations.post("projects/<int:project_id>/recalls", Scope.TRAIN, status=201)
def recall_annotations(call: Call, project_id: int, body: NewRecall) -> RecallWithMarked:
    """Take annotations out of everything that is counted and learned from. Owners can."""
    project = access.get_own_project_for(call.user, project_id)
    made = services.recall_annotations(
        _scope(project, body), recalled_by=call.user, reason=body.reason, pause=body.pause
    )
    return _shown(made)


@operations.get("recalls/<int:recall_id>")
def get_recall(call: Call, recall_id: int) -> RecallWithMarked:
    """Show a recall and everything that descends from it. Owners and engineers can."""
    return _shown(access.get_recall_for(call.user, recall_id))


@operations.post("recalls/<int:recall_id>/lift", Scope.TRAIN)
def lift_recall(call: Call, recall_id: int, body: Lift) -> RecallOut:
    """Let what a recall took out count again. Owners can."""
    found = access.get_own_recall_for(call.user, recall_id)
    return _recall(services.lift_recall(found, lifted_by=call.user, reason=body.reason))


@operations.get("checkpoints/<int:checkpoint_id>/clean")
def get_clean_line(call: Call, checkpoint_id: int) -> CleanLine:
    """Show what has to be made again, as annotations behind a checkpoint were recalled."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return CleanLine(
        steps=[
            CleanStepOut(
                original=one.original.pk,
                state=one.state,
                run=one.run.pk if one.run else None,
                clean=one.clean.pk if one.clean else None,
            )
            for one in selectors.clean_line(checkpoint)
        ]
    )


@operations.post("checkpoints/<int:checkpoint_id>/clean", Scope.TRAIN, status=201)
def retrain_clean(call: Call, checkpoint_id: int) -> Started:
    """Freeze without what was recalled, and start what of the clean line can start."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    started = services.retrain_clean(checkpoint, started_by=call.user)
    return Started(runs=[run_out(one) for one in started])


def _scope(project: Project, choice: Choice) -> exports.Recall:
    """Return a choice as a recall that is not saved; what nobody handed in can't be chosen."""
    there, _ = exports.recallable(project)
    people = {exports.pseudonym(number): number for number, _, _ in there.annotators}
    for wanted, known in (
        (choice.annotator, people),
        (choice.guideline_version, {number for number, _, _ in there.versions}),
        (choice.batch, {batch for batch, _, _ in there.batches}),
    ):
        if wanted is not None and wanted not in known:
            raise services.ServiceError(NOTHING.format(wanted))
    if not any(getattr(choice, name) is not None for name in Choice.model_fields):
        raise services.ServiceError(
            "Choose whom or what to recall: a person, guidelines, a batch or a time."
        )
    return exports.Recall(
        project=project,
        annotator_id=people[choice.annotator] if choice.annotator else None,
        guideline_version_id=choice.guideline_version,
        batch=choice.batch or "",
        since=choice.since,
        until=choice.until,
    )


def _recall(recall: exports.Recall) -> RecallOut:
    return RecallOut(
        id=recall.pk,
        what=exports.describe(recall, with_name=False),
        annotator=exports.pseudonym(recall.annotator_id) if recall.annotator_id else None,
        guideline_version=recall.guideline_version_id,
        batch=recall.batch,
        since=recall.since,
        until=recall.until,
        reason=recall.reason,
        by=str(recall.created_by),
        created_at=recall.created_at,
        lifted_at=recall.lifted_at,
        lift_reason=recall.lift_reason,
    )


def _shown(recall: exports.Recall) -> RecallWithMarked:
    rests = selectors.descendants(recall.project, [recall])
    return RecallWithMarked(**_recall(recall).model_dump(), marked=_marked(rests))


def _marked(rests: selectors.Descendants) -> Marked:
    return Marked(
        annotations=rests.found.annotations,
        annotators=rests.found.annotators,
        items=rests.found.items,
        votes=rests.found.votes,
        snapshots={one.pk: count for one, count in rests.snapshots},
        runs=[one.pk for one in rests.runs],
        checkpoints=[one.pk for one in rests.checkpoints],
        evaluations={one.pk: votes for one, votes in rests.evaluations},
        promotions=[one.pk for one in rests.promotions],
        promoted=rests.promoted.pk if rests.promoted else None,
    )
