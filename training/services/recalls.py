"""Recalling annotations, and making again without them what had learnt from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from annotations import exports
from annotations import services as collecting
from training import selectors
from training.models import Checkpoint, DatasetSnapshot, Run
from training.selectors.recalls import CleanState, CleanStep, Reach
from training.services.audit import record
from training.services.refusals import ServiceError
from training.services.runs import start_run
from training.services.snapshots import freeze_snapshot

if TYPE_CHECKING:
    from annotations.models import User


@transaction.atomic
def recall_annotations(
    scope: exports.Recall, *, recalled_by: User, reason: str, pause: bool = False
) -> exports.Recall:
    """Take out what fits an unsaved recall, and write down what had learnt from it by then."""
    try:
        made = collecting.recall(scope, recalled_by=recalled_by, reason=reason, pause=pause)
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    rests = selectors.descendants(made.project, [made])
    facts = {
        "what": exports.describe(made, with_name=False),
        "annotations": rests.found.annotations,
        "annotators": rests.found.annotators,
        "votes": rests.found.votes,
        "snapshots": [one.pk for one, _ in rests.snapshots],
        "runs": [one.pk for one in rests.runs],
        "checkpoints": [one.name for one in rests.checkpoints],
        "evaluations": [one.pk for one, _ in rests.evaluations],
        "paused": pause and scope.annotator is not None,
    }
    record(made.project, recalled_by, "made", made, made.reason, facts)
    return made


@transaction.atomic
def lift_recall(recall: exports.Recall, *, lifted_by: User, reason: str) -> exports.Recall:
    """Let what a recall took out count again, and the marks go."""
    try:
        lifted = collecting.lift_recall(recall, lifted_by=lifted_by, reason=reason)
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    facts = {"what": exports.describe(lifted, with_name=False)}
    record(lifted.project, lifted_by, "lifted", lifted, lifted.lift_reason, facts)
    return lifted


def retrain_clean(checkpoint: Checkpoint, *, started_by: User) -> list[Run]:
    """Freeze clean snapshots and start every run of a checkpoint's clean line that can start.

    A stage that needs the clean counterpart of an earlier one waits until that is there; doing
    this again starts it then, and nothing twice.
    """
    steps = selectors.clean_line(checkpoint)
    if not steps:
        raise ServiceError(f"Nothing behind {checkpoint} is recalled, so it needs no other.")
    ready = [step for step in steps if step.state == CleanState.READY]
    if not ready:
        raise ServiceError(_nothing_to_start(checkpoint, steps))
    marked = selectors.reach(checkpoint.project)
    return [_start(step, marked, started_by) for step in ready]


def freeze_clean(snapshot: DatasetSnapshot, *, created_by: User) -> DatasetSnapshot:
    """Return the clean counterpart of a snapshot, which is frozen if there is none."""
    marked = selectors.reach(snapshot.project)
    if snapshot.pk not in marked.snapshots:
        raise ServiceError(f"Nothing in {snapshot} is recalled, so it needs no other.")
    return _clean(snapshot, marked, created_by)


def _nothing_to_start(checkpoint: Checkpoint, steps: list[CleanStep]) -> str:
    if steps[-1].state == CleanState.DONE:
        return f"There is a clean one already: {steps[-1].clean}."
    running = [step.run for step in steps if step.state == CleanState.RUNNING]
    return f"Wait for {', '.join(map(str, running))}; the next stage needs what it makes."


def _start(step: CleanStep, marked: Reach, started_by: User) -> Run:
    original = step.original.run
    assert original is not None
    assert step.parent is not None  # the step is ready
    snapshot = original.snapshot
    if snapshot is not None and snapshot.pk in marked.snapshots:
        snapshot = _clean(snapshot, marked, started_by)
    config = {name: value for name, value in original.config.items() if name != "stage"}
    return start_run(
        step.original.project,
        original.stage,
        config,
        parent=step.parent,
        snapshot=snapshot,
        reward_checkpoint=step.scorer,
        started_by=started_by,
        replaces=step.original,
    )


def _clean(snapshot: DatasetSnapshot, marked: Reach, created_by: User) -> DatasetSnapshot:
    return selectors.clean_snapshot(snapshot, marked) or _freeze_again(snapshot, created_by)


def _freeze_again(snapshot: DatasetSnapshot, created_by: User) -> DatasetSnapshot:
    """Freeze what counts now by the recipe of a snapshot: its content, filters and seed."""
    try:
        clean = freeze_snapshot(
            snapshot.project,
            snapshot.content,
            created_by=created_by,
            seed=snapshot.seed,
            filters=snapshot.filters,
        )
    except ServiceError as error:
        raise ServiceError(f"Without what was recalled: {error}") from None
    clean.replaces = snapshot
    clean.save(update_fields=["replaces"])
    return clean
