"""Deciding about somebody who may not be looking at what they judge."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from annotations.models import FlagDecision, Membership, Project, User
from annotations.selectors.flags import Flag, flags
from annotations.services.projects import pause_member
from annotations.services.rules import ServiceError, check

MAX_REASON_CHARS = 2000


@transaction.atomic
def decide_flag(
    project: Project,
    detector: str,
    people: Sequence[int],
    *,
    verdict: str,
    reason: str,
    decided_by: User,
) -> FlagDecision:
    """Dismiss a flag, or pause who it is about, and keep the evidence. Nobody's pay changes."""
    if verdict not in FlagDecision.Verdict.values:
        raise ServiceError("Dismiss the flag, or pause the person.")
    reason = check(reason.strip(), "The reason", MAX_REASON_CHARS)
    if not reason:
        raise ServiceError("Say why; the person may ask.")
    flag = _find(flags(project), detector, tuple(sorted(people)))
    if decided_by in flag.people:
        raise ServiceError("This flag is about yourself. Leave it to another owner.")
    first, *rest = flag.people
    decision = FlagDecision.objects.create(
        project=project,
        person=first,
        other=rest[0] if rest else None,
        detector=detector,
        n=flag.signal.n,
        evidence=flag.signal.evidence,
        verdict=verdict,
        reason=reason,
        decided_by=decided_by,
    )
    if verdict == FlagDecision.Verdict.PAUSED:
        members = Membership.objects.filter(project=project, user__in=flag.people)
        for membership in members.exclude(state=Membership.State.PAUSED):
            pause_member(membership)
    return decision


def _find(found: Sequence[Flag], detector: str, people: tuple[int, ...]) -> Flag:
    for flag in found:
        if flag.signal.detector == detector and flag.signal.people == people:
            return flag
    raise ServiceError("There is no such flag any more. Look at the list again.")
