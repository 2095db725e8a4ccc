"""Taking a promotion back: the checkpoint that was in force before answers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from training import lifecycle, outbox, regressions, selectors
from training.models import Promotion, Webhook
from training.services.audit import record
from training.services.refusals import ServiceError, check_checkpoint
from training.services.rounds import end_round

if TYPE_CHECKING:
    from annotations.models import Project, User


def demote(project: Project, *, demoted_by: User, reason: str) -> Promotion:
    """Let the checkpoint that was promoted before answer the project's prompts again."""
    before = selectors.promotion_before(project)
    if before is None:
        raise ServiceError(
            "Nothing was promoted before, so nothing could answer the prompts. Promote another "
            "checkpoint instead."
        )
    return roll_back(before, rolled_back_by=demoted_by, reason=reason)


@transaction.atomic
def roll_back(earlier: Promotion, *, rolled_back_by: User, reason: str) -> Promotion:
    """Bring an earlier promotion back into force, by a new one that says what it undoes.

    It proved itself when it was promoted, so the gate is not asked again. A round that is open
    was about the checkpoint that goes, and ends with it.
    """
    project = earlier.project
    reason = lifecycle.clean(reason.strip())
    if not reason:
        raise ServiceError("Say why; it stays in the history of promotions.")
    current = selectors.promotion_in_force(project)
    if current is None or current.checkpoint_id == earlier.checkpoint_id:
        raise ServiceError(f"{earlier.checkpoint} is the promoted checkpoint already.")
    check_checkpoint(project, earlier.checkpoint, "roll back to")
    promotion = Promotion.objects.create(
        project=project,
        checkpoint=earlier.checkpoint,
        promoted_by=rolled_back_by,
        reason=reason,
        restores=earlier.restores or earlier,
        evidence={"undoes": current.pk, "demoted": current.checkpoint.name},
    )
    record(project, rolled_back_by, "demoted", current.checkpoint, reason, promotion.evidence)
    told = {"checkpoint_id": current.checkpoint_id, "restored_checkpoint_id": earlier.checkpoint_id}
    outbox.note(project.pk, Webhook.Kind.CHECKPOINT_DEMOTED, promotion.pk, **told)
    regressions.settle_tickets(project)
    end_round(project, decision=f"{current.checkpoint} was demoted meanwhile: {reason}")
    return promotion
