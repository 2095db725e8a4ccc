"""Opening and ending the turns of the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from training import lifecycle, selectors
from training.models import Automation, DatasetSnapshot, Round, Run, Stage
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project


Content = DatasetSnapshot.Content
ROUND_FIELDS = {
    Stage.SAMPLE: "sample_run",
    Stage.REWARD: "reward_run",
    Stage.PPO: "policy_run",
    Stage.DPO: "policy_run",
    Stage.KTO: "policy_run",
    Stage.GRPO: "policy_run",
    Stage.RLOO: "policy_run",
    Stage.REJECTION: "policy_run",
    Stage.SUITE: "suite_run",
}


@transaction.atomic
def open_round(project: Project) -> Round:
    """Open the next turn of the loop with the promoted checkpoint, or return the open one."""
    policy = selectors.promoted_checkpoint(project)
    if policy is None:
        raise ServiceError(
            "A round begins with a promoted checkpoint. Train one on demonstrations and promote it."
        )
    last = Round.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
    opened, _ = Round.objects.get_or_create(
        project=project, ended_at=None, defaults={"number": last + 1, "policy": policy}
    )
    return opened


@transaction.atomic
def close_round(project: Project, *, decision: str) -> Round:
    """End the open round without a promotion; the decision says why the child was kept back."""
    opened = selectors.open_round(project)
    if opened is None:
        raise ServiceError("No round is open. Open one first.")
    if not decision.strip():
        raise ServiceError("Say why the round ends without a promotion.")
    end_round(project, decision=lifecycle.clean(decision.strip()))
    opened.refresh_from_db()
    return opened


def end_round(project: Project, **changes: Any) -> None:
    """End the open round, if there is one, with the reward run that counted in the end."""
    if opened := selectors.open_round(project):
        Round.objects.filter(id=opened.pk, ended_at=None).update(
            reward_run=opened.reward_run, ended_at=Now(), **changes
        )
        Automation.objects.filter(project=project).update(asks="")  # whatever it was about it


def link_round(run: Run) -> None:
    """Note a new run in the open round if it belongs there; the newest of a kind counts.

    What an engineer tries beside the loop must not push the loop on. So the sample run is one for
    training by the round's policy; the reward run learns from a snapshot that holds judgements of
    completions sampled in this round; the policy run starts from the round's policy. (A reward
    run that fails steps back behind an earlier one: `selectors.open_round`.) A policy run that
    learns from the judgements themselves learns from some of this round's. A suite measures what
    the policy run made beside the round's policy.
    """
    opened = selectors.open_round(run.project)
    field = ROUND_FIELDS.get(Stage(run.stage))
    if opened is None or field is None or "rebuilds" in run.request:
        return
    belongs = run.parent_id == opened.policy_id
    match run.stage:
        case Stage.SAMPLE:
            belongs = belongs and run.request["purpose"] == "training"
        case Stage.REWARD:
            assert run.snapshot is not None  # checked before it was queued
            belongs = selectors.judges_round(run.snapshot, opened)
        case Stage.DPO | Stage.KTO:
            assert run.snapshot is not None  # checked before it was queued
            belongs = belongs and selectors.judges_round(run.snapshot, opened)
        case Stage.SUITE:
            is_of_child = (
                run.parent.run_id is not None and run.parent.run_id == opened.policy_run_id
            )
            belongs = is_of_child and run.request["rival_checkpoint_id"] == opened.policy_id
    if belongs:
        Round.objects.filter(id=opened.pk, ended_at=None).update(**{field: run})
