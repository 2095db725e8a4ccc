"""What owners settle with one member, and members for themselves."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotations import queue
from annotations.algorithms.text import unix_newlines
from annotations.models import HeldOut, MemberNote, Membership, Project, User
from annotations.services.projects import keep_an_owner, remove_member
from annotations.services.rules import ServiceError, check, lock

MAX_NOTE_CHARS = 4000
State = Membership.State
PAUSED = gettext_lazy("An owner has paused your membership. Ask them to resume it.")


@transaction.atomic
def hold_out(project: Project, user: User, made_by: User) -> HeldOut:
    """Let no model learn from what a person has annotated and will annotate. Twice is once."""
    lock(project)
    now = HeldOut.objects.filter(project=project, user=user, ended_at=None).first()
    return now or HeldOut.objects.create(project=project, user=user, made_by=made_by)


@transaction.atomic
def end_hold_out(project: Project, user: User) -> None:
    """Let models learn from what a person annotates from now on, and not from what came before."""
    lock(project)
    HeldOut.objects.filter(project=project, user=user, ended_at=None).update(
        ended_at=timezone.now()
    )


@transaction.atomic
def write_note(project: Project, person: User, text: str, made_by: User) -> MemberNote:
    """Tell a person something about their work."""
    text = check(unix_newlines(text.strip()), "The note", MAX_NOTE_CHARS)
    if not text:
        raise ServiceError("The note is empty. Write what the person should know.")
    return MemberNote.objects.create(project=project, person=person, text=text, made_by=made_by)


@transaction.atomic
def rest(membership: Membership) -> Membership:
    """Pause by oneself: what is held goes to others, what was begun is kept."""
    keep_an_owner(membership)
    if not _as_it_is(membership).filter(state=State.ACTIVE).update(state=State.RESTING):
        raise ServiceError(_("Your membership is paused already."))
    queue.release_leases_of(membership.user, membership.project)
    membership.state = State.RESTING
    return membership


@transaction.atomic
def come_back(membership: Membership) -> Membership:
    """Work again after a pause of one's own."""
    if not _as_it_is(membership).exclude(state=State.PAUSED).update(state=State.ACTIVE):
        raise ServiceError(str(PAUSED))
    membership.state = State.ACTIVE
    return membership


@transaction.atomic
def leave(membership: Membership) -> None:
    """End one's own membership. Whom an owner has paused stays: a link would end the pause."""
    lock(membership.project)
    if _as_it_is(membership).filter(state=State.PAUSED).exists():
        raise ServiceError(str(PAUSED))
    remove_member(membership)


def _as_it_is(membership: Membership) -> QuerySet[Membership]:
    """Return a member's row: an owner may have paused them since it was read."""
    return Membership.objects.filter(id=membership.pk)


def read_note(note: MemberNote) -> None:
    """Keep that a note was read. Twice is once."""
    MemberNote.objects.filter(id=note.pk, read_at=None).update(read_at=timezone.now())
