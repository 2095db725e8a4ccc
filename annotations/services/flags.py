"""Deciding about somebody who may not be looking at what they judge."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotations.kept import keep, recall
from annotations.models import (
    Annotation,
    AutomaticPause,
    FlagDecision,
    Membership,
    Project,
    Role,
    User,
)
from annotations.selectors.flags import Flag, flags, flags_now
from annotations.services.projects import pause_member, resume_member
from annotations.services.rules import ServiceError, check, leave_to_another, lock
from annotations.signals import flag_decided

MAX_REASON_CHARS = 2000
PAUSES_BELOW: dict[str, float] = {Project.FlagPause.SURE: 1e-3, Project.FlagPause.VERY_SURE: 1e-6}
"""The adjusted p-value below which a flag pauses by itself."""
LOOKED = "flags-looked-at"


def flags_raised(project_id: int) -> list[str]:
    """Return a key for each flag that is raised now.

    One that comes back after it was decided about has another key.
    """
    project = Project.objects.get(id=project_id)
    found = []
    for flag in flags(project):
        detector, people = flag.signal.detector, flag.signal.people
        decided = FlagDecision.objects.filter(
            project=project, detector=detector, person__in=people
        ).count()
        found.append(f"{detector}:{'-'.join(map(str, people))}:{decided}")
    return found


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
    leave_to_another(decided_by, project, flag.people, "This flag is about yourself.")
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
            pause_member(membership, made_by=decided_by)
    _end_pause(flag, project, verdict, decided_by)
    flag_decided.send(sender=FlagDecision, decision=decision)
    return decision


def projects_that_pause() -> QuerySet[Project]:
    """Return the projects in which flags pause people by themselves."""
    return Project.objects.exclude(flag_pause=Project.FlagPause.NEVER).order_by("id")


def flags_that_pause(project: Project) -> list[Flag]:
    """Return the flags that are as sure as a project asks, if anybody has answered since.

    Of two who answer alike one may be innocent, so that flag pauses nobody.
    """
    newest = Annotation.objects.order_by("-id").values_list("id", flat=True).first()
    if recall(project, LOOKED) == (newest, project.flag_pause):
        return []
    most = PAUSES_BELOW.get(project.flag_pause, 0.0)
    found = [one for one in flags_now(project) if one.signal.p < most and len(one.people) == 1]
    keep(project, LOOKED, (newest, project.flag_pause))
    return found


@transaction.atomic
def pause_by_flag(project: Project, flag: Flag) -> AutomaticPause | None:
    """Pause a labeller because of a flag alone, until an owner decides. Nobody's pay changes.

    What somebody has decided about is left alone until there is twice the evidence.
    """
    lock(project)
    (person,), signal = flag.people, flag.signal
    active = Membership.objects.filter(
        project=project, user=person, role=Role.ANNOTATOR, state=Membership.State.ACTIVE
    ).first()
    earlier = project.automatic_pauses.filter(person=person, detector=signal.detector)
    if active is None or earlier.filter(n__gt=signal.n / 2).exists():
        return None
    pause_member(active)
    return AutomaticPause.objects.create(
        project=project,
        person=person,
        detector=signal.detector,
        p=signal.p,
        n=signal.n,
        evidence=signal.evidence,
    )


def _end_pause(flag: Flag, project: Project, verdict: str, decided_by: User) -> None:
    """Let what a flag has paused end by a person's decision: to work again, or to stay paused."""
    if flag.pause is None:
        return
    if verdict == FlagDecision.Verdict.DISMISSED and flag.pause.detector == flag.signal.detector:
        for membership in Membership.objects.filter(project=project, user=flag.pause.person):
            resume_member(membership, made_by=decided_by)
    elif verdict == FlagDecision.Verdict.PAUSED:
        AutomaticPause.objects.filter(pk=flag.pause.pk).update(ended_at=timezone.now())


def _find(found: Sequence[Flag], detector: str, people: tuple[int, ...]) -> Flag:
    for flag in found:
        if flag.signal.detector == detector and flag.signal.people == people:
            return flag
    raise ServiceError("There is no such flag any more. Look at the list again.")
