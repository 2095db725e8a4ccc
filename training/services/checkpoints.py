"""Letting a checkpoint answer for its project."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.db import transaction

from training import lifecycle, outbox, regressions, selectors
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Promotion, Webhook
from training.services.audit import record
from training.services.refusals import ServiceError
from training.services.roles import is_owner
from training.services.rounds import end_round

if TYPE_CHECKING:
    from annotations.models import Project, User


Content = DatasetSnapshot.Content


@transaction.atomic
def promote_checkpoint(
    checkpoint: Checkpoint,
    *,
    promoted_by: User,
    reason: str,
    evaluation: Evaluation | None = None,
    override: bool = False,
) -> Promotion:
    """Let the checkpoint sample for its project, if it proved itself (or an owner overrides).

    The gate is `selectors.gate_conditions`: above all, that the interval of the win rate in blind
    comparisons with the checkpoint in force lies above one half. The first checkpoint has nothing
    to beat.
    """
    project = checkpoint.project
    reason = lifecycle.clean(reason.strip())
    if not reason:
        raise ServiceError("Say why this checkpoint shall answer the prompts from now on.")
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        raise ServiceError("A reward model scores and can't answer prompts. Promote a policy.")
    if checkpoint.is_external:
        raise ServiceError(
            f"{checkpoint} is an external endpoint and can't be promoted: nothing can be trained "
            "from it. Promote a policy."
        )
    current = selectors.promoted_checkpoint(project)
    if current is not None and current.pk == checkpoint.pk:
        raise ServiceError(f"{checkpoint} is the promoted checkpoint already.")
    if override:
        _check_owner(project, promoted_by)
    refusal = selectors.gate_refusal(checkpoint, evaluation)
    if refusal and not override:
        raise ServiceError(refusal)
    evidence = asdict(selectors.evaluation_result(evaluation)) if evaluation else {}
    promotion = Promotion.objects.create(
        project=project,
        checkpoint=checkpoint,
        promoted_by=promoted_by,
        reason=reason,
        evidence={
            **evidence,
            **({"evaluation": evaluation.pk} if evaluation else {}),
            **({"gate": asdict(selectors.gate_result(evaluation))} if evaluation else {}),
            **(asdict(selectors.certain(evaluation)) if evaluation else {}),
            **({"conditions": _conditions(evaluation)} if evaluation else {}),
            **({"overridden": refusal} if refusal else {}),
        },
    )
    record(project, promoted_by, "promoted", checkpoint, reason, promotion.evidence)
    told = {"checkpoint_id": checkpoint.pk, "promotion_id": promotion.pk}
    outbox.note(project.pk, Webhook.Kind.CHECKPOINT_PROMOTED, promotion.pk, **told)
    regressions.settle_tickets(project)
    end_round(
        project,
        promotion=promotion,
        evaluation=evaluation,  # the one that decided, whichever the round had
        decision=f"{checkpoint} promoted: {reason}",
    )
    return promotion


def _conditions(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [asdict(one) for one in selectors.gate_conditions(evaluation)]


def _check_owner(project: Project, user: User) -> None:
    if not is_owner(project, user):
        raise ServiceError(
            "Only an owner of the project may promote against the gate. Ask one, or evaluate first."
        )
