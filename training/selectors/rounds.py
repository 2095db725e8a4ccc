"""Which round is open, and what belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.models import DatasetSnapshot, Round, Run, Stage

if TYPE_CHECKING:
    from annotations.models import Project


Content = DatasetSnapshot.Content
FELL_THROUGH = (Run.State.FAILED, Run.State.CANCELLED)


def open_round(project: Project) -> Round | None:
    """Return the round that is open in the project.

    Its reward run is the newest that succeeded or may yet; one that failed or was cancelled counts
    only where there is no other.
    """
    runs = ("sample_run", "reward_run", "policy_run", "suite_run", "evaluation__run")
    rounds = Round.objects.filter(project=project, ended_at=None)
    opened = rounds.select_related("policy", *runs).first()
    if opened and opened.reward_run and opened.reward_run.state in FELL_THROUGH:
        opened.reward_run = _earlier_reward_run(opened) or opened.reward_run
    return opened


def _earlier_reward_run(opened: Round) -> Run | None:
    alive = opened.project.runs.exclude(state__in=FELL_THROUGH)
    runs = alive.filter(stage=Stage.REWARD, created_at__gte=opened.created_at)
    for run in runs.select_related("snapshot"):
        if run.snapshot is not None and judges_round(run.snapshot, opened):
            return run
    return None


def judges_round(snapshot: DatasetSnapshot, opened: Round) -> bool:
    """Return whether the snapshot holds a judgement of completions sampled in the round."""
    sampled = opened.project.runs.filter(stage=Stage.SAMPLE, created_at__gte=opened.created_at)
    batches = [request.get("batch", "") for request in sampled.values_list("request", flat=True)]
    judgements = opened.project.items.filter(
        batch__in=batches, purpose="training", annotations__isnull=False
    ).values_list("annotations", flat=True)
    return not set(snapshot.annotation_ids).isdisjoint(judgements)
