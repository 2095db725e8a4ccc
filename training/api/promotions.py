"""Which checkpoint answers a project's prompts, and what it must prove for that."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from training import access, selectors, services
from training.models import Promotion
from training.services.gates import MOST

if TYPE_CHECKING:
    from annotations.models import Project

operations = Operations("Promotions", refusals=(services.ServiceError,))

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Count = Annotated[int, Field(ge=0, le=MOST)]


class ConditionOut(Answer):
    """One thing that the gate asks for, and how it stands."""

    title: str
    wanted: str
    found: str
    is_met: bool
    refusal: str


class Thresholds(Answer):
    """What a project asks of a checkpoint before it is promoted."""

    least_rate: float
    least_votes: int
    least_voters: int
    largest_kl: float | None


class NewThresholds(Body):
    """What a checkpoint must prove from now on; all of it."""

    least_rate: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        description="What the lower end of the win rate's 95 % interval must lie above."
    )
    least_votes: Count = Field(description="Cast by people.")
    least_voters: Annotated[int, Field(ge=1, le=MOST)] = Field(description="Who voted.")
    largest_kl: Annotated[float, Field(gt=0, lt=MOST)] | None = Field(
        description="To the reference, in nats per completion; null asks for nothing."
    )


class GateState(Answer):
    """Whether the gate is open to a checkpoint, and what keeps it closed."""

    checkpoint: int
    is_open: bool
    refusal: str = Field(description="Why it is closed and what to do; empty where it is open.")
    evaluation: int | None = Field(description="The one that decides.")
    conditions: list[ConditionOut] = Field(description="None without an evaluation.")


class PromotionOut(Answer):
    """Which checkpoint answered the prompts from then on, and why. The newest is in force."""

    id: int
    checkpoint: int
    by: str
    reason: str
    evidence: dict[str, Any] = Field(description="What was known at that moment.")
    restores: int | None = Field(description="Of a rollback: the promotion in force again.")
    created_at: datetime


class WhyBack(Body):
    """Why a promotion is taken back."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


@operations.get("projects/<int:project_id>/gate")
def get_thresholds(call: Call, project_id: int) -> Thresholds:
    """Show what a checkpoint must prove before it is promoted. Owners and engineers can."""
    return _thresholds(access.get_project_for(call.user, project_id))


@operations.put("projects/<int:project_id>/gate", Scope.TRAIN)
def set_thresholds(call: Call, project_id: int, body: NewThresholds) -> Thresholds:
    """Set what a checkpoint must prove, for every promotion from now on. Owners can."""
    project = access.get_own_project_for(call.user, project_id)
    services.set_gate(project, **body.model_dump(), changed_by=call.user)
    return _thresholds(project)


@operations.get("checkpoints/<int:checkpoint_id>/gate")
def get_gate(call: Call, checkpoint_id: int) -> GateState:
    """Show whether a checkpoint may be promoted as things stand, and what is lacking."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    deciding = selectors.deciding_evaluation(checkpoint)
    refusal = selectors.gate_refusal(checkpoint, deciding)
    found = selectors.gate_conditions(deciding) if deciding else []
    return GateState(
        checkpoint=checkpoint.pk,
        is_open=not refusal,
        refusal=refusal,
        evaluation=deciding.pk if deciding else None,
        conditions=[condition_out(one) for one in found],
    )


@operations.get("projects/<int:project_id>/promotions")
def list_promotions(call: Call, project_id: int, query: Paged) -> Page[PromotionOut]:
    """List what answered the project's prompts, and since when. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return page_of(project.promotions.select_related("promoted_by"), query, _promotion)


@operations.post("projects/<int:project_id>/demote", Scope.TRAIN, status=201)
def demote(call: Call, project_id: int, body: WhyBack) -> PromotionOut:
    """Let the checkpoint that was promoted before answer the prompts again.

    A round that is open was about the one that goes, and ends with it.
    """
    project = access.get_project_for(call.user, project_id)
    return _promotion(services.demote(project, demoted_by=call.user, reason=body.reason))


@operations.post("promotions/<int:promotion_id>/roll-back", Scope.TRAIN, status=201)
def roll_back(call: Call, promotion_id: int, body: WhyBack) -> PromotionOut:
    """Bring an earlier promotion back into force. It proved itself then, so no gate is asked."""
    earlier = access.get_promotion_for(call.user, promotion_id)
    back = services.roll_back(earlier, rolled_back_by=call.user, reason=body.reason)
    return _promotion(back)


def condition_out(condition: selectors.Condition) -> ConditionOut:
    """Return a condition of the gate as it is answered."""
    return ConditionOut(**{name: getattr(condition, name) for name in ConditionOut.model_fields})


def _thresholds(project: Project) -> Thresholds:
    gate = selectors.gate_of(project)
    return Thresholds(**{name: getattr(gate, name) for name in Thresholds.model_fields})


def _promotion(promotion: Promotion) -> PromotionOut:
    return PromotionOut(
        id=promotion.pk,
        checkpoint=promotion.checkpoint_id,
        by=str(promotion.promoted_by),
        reason=promotion.reason,
        evidence=promotion.evidence,
        restores=promotion.restores_id,
        created_at=promotion.created_at,
    )
