"""What descends from annotations that were recalled, and how a clean line is made in its place.

A snapshot descends from a recalled annotation if it holds it; a checkpoint if one of the snapshots
behind it does (`sources`); a run if it learns from such a snapshot, starts from, is scored by or is
held against such a checkpoint, or made one. All is read anew at each look, so that nothing that
was frozen or trained while somebody recalled can slip through, and lifting a recall clears the
marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import Count, Q

from annotations import exports
from training.models import (
    Checkpoint,
    DatasetSnapshot,
    Evaluation,
    Promotion,
    Run,
    SnapshotAnnotation,
)
from training.selectors.checkpoints import promoted_checkpoint
from training.selectors.sources import LONG, Family

if TYPE_CHECKING:
    from annotations.models import Project


@dataclass(frozen=True)
class Reach:
    """Everything that descends from what fits one or several recalls."""

    recalls: Sequence[exports.Recall] = ()
    snapshots: dict[int, int] = field(default_factory=dict)
    """How many of the annotations each holds."""
    checkpoints: frozenset[int] = frozenset()
    runs: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.snapshots)


@dataclass(frozen=True)
class Descendants:
    """The same as rows to show, and what else rests on the annotations."""

    found: exports.Recalled
    snapshots: list[tuple[DatasetSnapshot, int]]
    checkpoints: list[Checkpoint]
    runs: list[Run]
    evaluations: list[tuple[Evaluation, int]]
    """With how many votes each loses."""
    promotions: list[Promotion]
    """Of such a checkpoint, or decided by such an evaluation."""
    promoted: Checkpoint | None
    """The checkpoint in force, if it is one of them."""


def reach(project: Project, recalls: Sequence[exports.Recall] | None = None) -> Reach:
    """Return what descends from what these recalls take out; by default those in force.

    Where nothing is recalled this is one query.
    """
    if recalls is None:
        recalls = list(exports.recalls_in_force(project.pk))
    if not recalls:
        return Reach()
    links = SnapshotAnnotation.objects.filter(
        exports.fitting("annotation__", recalls), snapshot__project=project
    )
    snapshots = dict(links.order_by().values_list("snapshot_id").annotate(count=Count("id")))
    if not snapshots:
        return Reach(recalls)
    family = Family(project)
    checkpoints = {
        one.pk
        for one in family.checkpoints.values()
        if any(source.snapshot.pk in snapshots for source in family.sources(one))
    }
    runs = project.runs.filter(
        Q(snapshot__in=snapshots)
        | Q(parent__in=checkpoints)
        | Q(reward_checkpoint__in=checkpoints)
        | Q(checkpoint__in=checkpoints)
        | Q(request__rival_checkpoint_id__in=list(checkpoints))
    )
    numbers = frozenset(runs.order_by().values_list("id", flat=True))
    return Reach(recalls, snapshots, frozenset(checkpoints), numbers)


def descendants(project: Project, recalls: Sequence[exports.Recall]) -> Descendants:
    """Return what these recalls, saved or not, take out, and everything that rests on it."""
    found = reach(project, recalls)
    what = exports.what_fits(recalls)
    snapshots = project.snapshots.filter(id__in=found.snapshots).defer("annotation_ids")
    evaluations = list(
        project.evaluations.filter(batch__in=list(what.batches)).select_related(
            "project", "child", "parent"
        )
    )
    decided = Q(evidence__evaluation__in=[one.pk for one in evaluations])
    promotions = project.promotions.filter(Q(checkpoint__in=found.checkpoints) | decided)
    promoted = promoted_checkpoint(project)
    runs = project.runs.filter(id__in=found.runs).select_related("checkpoint")
    return Descendants(
        found=what,
        snapshots=[(one, found.snapshots[one.pk]) for one in snapshots],
        checkpoints=list(project.checkpoints.filter(id__in=found.checkpoints)),
        runs=list(runs.defer(*(name.removeprefix("run__") for name in LONG))),
        evaluations=[(one, what.batches[one.batch]) for one in evaluations],
        promotions=list(promotions.select_related("checkpoint")),
        promoted=promoted if promoted and promoted.pk in found.checkpoints else None,
    )


def recalled_annotations(checkpoint: Checkpoint) -> int:
    """Return how many annotations behind a checkpoint are recalled; each snapshot's are counted."""
    found = reach(checkpoint.project)
    if checkpoint.pk not in found.checkpoints:
        return 0
    sources = Family(checkpoint.project).sources(checkpoint)
    return sum(found.snapshots.get(source.snapshot.pk, 0) for source in sources)


class CleanState(StrEnum):
    """How far a clean counterpart of a checkpoint is."""

    DONE = "done"
    RUNNING = "running"
    READY = "ready"
    """What it starts from is clean: its run can be started."""
    WAITING = "waiting"
    """For the clean counterpart of what it starts from, or of its reward model."""


@dataclass(frozen=True)
class CleanStep:
    """One checkpoint of a line that is to be made again without what was recalled."""

    original: Checkpoint
    state: CleanState
    run: Run | None
    """The newest run that makes it again, whatever became of it."""
    clean: Checkpoint | None
    parent: Checkpoint | None
    """What to start from, and below what to be scored by; None while there is no clean one."""
    scorer: Checkpoint | None


def clean_line(checkpoint: Checkpoint) -> list[CleanStep]:
    """Return what to make again for a clean counterpart of a checkpoint, in that order.

    Nothing if no annotation behind it is recalled.
    """
    marked = reach(checkpoint.project)
    steps: dict[int, CleanStep] = {}
    for original in _in_order(checkpoint, marked, set()):
        steps[original.pk] = _step(original, marked, steps)
    return list(steps.values())


def _in_order(checkpoint: Checkpoint, marked: Reach, seen: set[int]) -> Iterator[Checkpoint]:
    """Yield the marked checkpoints behind one and itself, each after what it needs."""
    if checkpoint.pk not in marked.checkpoints or checkpoint.pk in seen or checkpoint.run is None:
        return
    seen.add(checkpoint.pk)
    yield from _in_order(checkpoint.run.parent, marked, seen)
    if checkpoint.run.reward_checkpoint is not None:
        yield from _in_order(checkpoint.run.reward_checkpoint, marked, seen)
    yield checkpoint


def _step(original: Checkpoint, marked: Reach, steps: dict[int, CleanStep]) -> CleanStep:
    assert original.run is not None  # others are not in a clean line
    again = original.project.runs.filter(request__replaces=original.pk)
    runs = list(again.select_related("checkpoint").order_by("-id"))
    made = [made for run in runs if (made := getattr(run, "checkpoint", None))]
    clean = next((one for one in made if one.pk not in marked.checkpoints), None)
    parent = _clean_of(original.run.parent, steps)
    wanted = original.run.reward_checkpoint
    scorer = _clean_of(wanted, steps) if wanted else None
    if clean is not None:
        state = CleanState.DONE
    elif any(run.state not in Run.TERMINAL and run.pk not in marked.runs for run in runs):
        state = CleanState.RUNNING
    elif parent is None or (wanted is not None and scorer is None):
        state = CleanState.WAITING
    else:
        state = CleanState.READY
    return CleanStep(original, state, runs[0] if runs else None, clean, parent, scorer)


def _clean_of(checkpoint: Checkpoint, steps: dict[int, CleanStep]) -> Checkpoint | None:
    return steps[checkpoint.pk].clean if checkpoint.pk in steps else checkpoint


def clean_snapshot(snapshot: DatasetSnapshot, marked: Reach) -> DatasetSnapshot | None:
    """Return the newest snapshot that was frozen in another's place and holds nothing recalled."""
    for one in snapshot.replacements.order_by("-id").defer("annotation_ids"):
        if one.pk not in marked.snapshots:
            return one
    return None
