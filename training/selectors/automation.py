"""How a project's loop stands: everything that decides what it does next by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.http import Http404

from annotations import exports
from training import access
from training.models import Automation, Checkpoint, Round, Run, Stage
from training.next_act import Act, Job, NeedsPerson, RoundState, Waiting, next_act
from training.selectors.checkpoints import promoted_checkpoint
from training.selectors.evaluations import batch_progress, needs_nobody
from training.selectors.gate import gate_refusal, may_still_open
from training.selectors.rounds import FELL_THROUGH, open_round

if TYPE_CHECKING:
    from annotations.models import Project, User

JUDGED = ("comparison", "ranking", "conversation")
"""Kinds of work that give preference pairs."""
LEARNS_FROM_PEOPLE = (Stage.REWARD, Stage.DPO, Stage.KTO)
DECIDED_BY_JUDGEMENTS = (Stage.DPO, Stage.KTO)
"""Stages that make a policy without a reward model."""


def automation_of(project: Project) -> Automation | None:
    """Return how far the project's rounds go by themselves, if anybody ever said so."""
    return Automation.objects.filter(project=project).select_related("changed_by").first()


def projects_to_drive() -> list[int]:
    """Return the projects in which something may have to be done without a person."""
    driven = Round.objects.filter(ended_at=None, driven_by__isnull=False)
    switched_on = ~Q(mode=Automation.Mode.OFF)
    wanted = Automation.objects.filter(switched_on | Q(project__in=driven.values("project")))
    return list(wanted.order_by("project").values_list("project", flat=True))


def projects_with_checkpoints() -> list[int]:
    """Return the projects that have models."""
    return list(Checkpoint.objects.order_by("project").values_list("project", flat=True).distinct())


def whats_next(project: Project) -> Act | Waiting | NeedsPerson:
    """Return what the project's loop does next, what it waits for, or what somebody must decide."""
    return next_act(round_state(project))


def round_state(project: Project) -> RoundState:
    """Return how the loop stands, read from the rows as they are now."""
    automation = automation_of(project)
    opened, policy = open_round(project), promoted_checkpoint(project)
    is_on = automation is not None and automation.mode != Automation.Mode.OFF
    driver = opened.driven_by if opened else automation.changed_by if automation and is_on else None
    common: dict[str, Any] = {
        "policy": str(policy or ""),
        "is_automatic": is_on,
        "promotes": automation is None or automation.mode != Automation.Mode.UNTIL_DECISION,
        "driver": str(driver or ""),
        "driver_may": driver is not None and _trains(driver, project),
    }
    if opened is None:
        return RoundState(**common, kept_back=_kept_back(project))
    enough = automation.new_comparisons if automation and is_on else None
    return RoundState(
        **common,
        **_collecting(project, opened),
        **_learning(project, opened),
        **_deciding(project, opened),
        is_open=True,
        wanted_comparisons=enough,
        skipped=frozenset(opened.skipped),
        halted=opened.halted_act,  # type: ignore[arg-type]  # written by the dispatcher alone
        halted_because=opened.halted_because,
    )


def new_judgements(project: Project) -> int:
    """Return how many judgements count and are newer than the last snapshot a run learnt from.

    A run that failed or was cancelled has learnt nothing.
    """
    learnt = project.runs.filter(stage__in=LEARNS_FROM_PEOPLE).exclude(state__in=FELL_THROUGH)
    last = learnt.order_by("-snapshot_id").values_list("snapshot__created_at", flat=True).first()
    return exports.count_judgements(project.pk, JUDGED, after=last)


def newest_reward_model(project: Project) -> Checkpoint | None:
    """Return the reward model that was trained last."""
    return project.checkpoints.filter(kind=Checkpoint.Kind.REWARD).first()


def last_round_with(project: Project, field: str) -> Round | None:
    """Return the newest ended round that has a run (or an evaluation) of this kind."""
    ended = Round.objects.filter(project=project, ended_at__isnull=False)
    return ended.filter(**{f"{field}__isnull": False}).first()


def policy_stage(project: Project) -> Stage:
    """Return by which stage the next policy is trained: as the last round's was."""
    last = last_round_with(project, "policy_run")
    return Stage(last.policy_run.stage) if last and last.policy_run else Stage.PPO


def _collecting(project: Project, opened: Round) -> dict[str, Any]:
    batch = opened.sample_run.request.get("batch", "") if opened.sample_run else ""
    progress = batch_progress(project, batch)
    return {
        "sampling": _job(opened.sample_run),
        "items": progress.items,
        "answered": progress.answered,
        "comparisons_are_in": progress.is_complete,
        "new_comparisons": new_judgements(project),
    }


def _learning(project: Project, opened: Round) -> dict[str, Any]:
    older = newest_reward_model(project)
    training = opened.policy_run
    stage = Stage(training.stage) if training else policy_stage(project)
    return {
        "needs_reward_model": stage not in DECIDED_BY_JUDGEMENTS,
        "older_reward_model": str(older or ""),
        "reward": _job(opened.reward_run),
        "training": _job(training),
        "suite": _job(opened.suite_run),
    }


def _deciding(project: Project, opened: Round) -> dict[str, Any]:
    evaluation = opened.evaluation
    if evaluation is None or evaluation.run.state != Run.State.SUCCEEDED:
        return {"evaluation": _job(evaluation.run if evaluation else None)}
    progress = batch_progress(project, evaluation.batch)
    return {
        "evaluation": _job(evaluation.run),
        "pairs": progress.items,
        "judged": progress.answered,
        "votes_are_in": progress.is_complete or needs_nobody(evaluation),
        "refusal": gate_refusal(evaluation.child, evaluation),
        "may_still_open": may_still_open(evaluation),
    }


def _job(run: Run | None) -> Job:
    if run is None:
        return Job()
    name = f"run {run.pk} ({run.stage})"
    match run.state:
        case Run.State.SUCCEEDED:
            return Job("done", name)
        case Run.State.FAILED:
            return Job("failed", str(run), run.error)
        case Run.State.CANCELLED:
            return Job("failed", str(run), "It was cancelled.")
    return Job("waiting", name)


def _trains(user: User, project: Project) -> bool:
    try:
        access.get_project_for(user, project.pk)
    except Http404:
        return False
    return user.is_active


def _kept_back(project: Project) -> int:
    """Return how many rounds in a row ended by themselves without a promotion."""
    ended = Round.objects.filter(project=project, ended_at__isnull=False, driven_by__isnull=False)
    promoted = ended.filter(promotion__isnull=False).first()
    return ended.filter(number__gt=promoted.number if promoted else 0).count()
