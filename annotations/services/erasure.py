"""Forgetting a person: what remains is work by a number.

Annotations stay as they are (law 1), and so does what was paid for them. The names, what
lets the person in, what they were about to write and what others wrote about them go.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q, QuerySet

from annotations.algorithms.mentions import mention
from annotations.models import (
    WRITTEN_KINDS,
    ApiAnswer,
    ApiToken,
    Assignment,
    AutomaticPause,
    CorrectionDraft,
    FlagDecision,
    GuidelineDraft,
    Import,
    KindDecision,
    MemberNote,
    Membership,
    PayEntry,
    Project,
    Recall,
    ScreeningAnswer,
    TestVerdict,
    TicketEvent,
    TicketReport,
    User,
)
from annotations.services.projects import remove_member
from annotations.services.rules import ServiceError, chunks
from annotations.services.sign_in import forget_name
from annotations.services.two_factor import end_two_factor

ERASED = "(erased)"


def names_of(user: User) -> list[str]:
    """Return the names by which texts may speak of a person."""
    return [user.username, user.email, user.get_full_name()]


@transaction.atomic
def erase_person(user: User) -> list[Project]:
    """Make a person a number. Return the projects that they were a member of.

    Refuse while they are the last owner of a project: nobody could look after it. Who is erased
    already stays so.
    """
    user = User.objects.select_for_update().get(id=user.pk)
    projects = _leave_all(user)
    _forget_what_was_written(user)
    _forget_sessions(user)
    forget_name(user.username)
    end_two_factor(user)
    seen = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)
    )
    seen.delete()
    user.groups.clear()
    user.user_permissions.clear()
    User.objects.filter(id=user.pk).update(
        username=pseudonym_of(user),
        first_name="",
        last_name="",
        email="",
        last_login=None,
        keys={},
        sends_on_choice=False,
        is_active=False,
        is_staff=False,
        is_superuser=False,
    )
    user.refresh_from_db()
    user.set_unusable_password()
    user.save(update_fields=["password"])
    # Kept figures may show names; all of them can be reckoned again.
    transaction.on_commit(cache.clear, robust=True)
    return projects


def pseudonym_of(user: User) -> str:
    """Return what a person is called once they are erased. Exports have called them so before.

    Nobody else can have it: names that people choose are at most letters, digits and @ . + - _
    """
    return f"erased:{user.pk}"


def _leave_all(user: User) -> list[Project]:
    memberships = Membership.objects.filter(user=user).select_related("project", "user")
    projects = []
    for membership in memberships.order_by("id"):
        try:
            remove_member(membership)
        except ServiceError as error:
            raise ServiceError(f"{membership.project}: {error}") from None
        projects.append(membership.project)
    return projects


def _forget_what_was_written(user: User) -> None:
    """Delete what was begun, and blank what others wrote about the person."""
    GuidelineDraft.objects.filter(author=user).delete()
    MemberNote.objects.filter(person=user).delete()
    CorrectionDraft.objects.filter(annotation__annotator=user).delete()
    mine = Assignment.objects.filter(annotator=user)
    mine.exclude(draft=None).update(draft=None)
    mine.exclude(skip_note="").update(skip_note="")
    TicketReport.objects.filter(reporter=user).exclude(words="").update(words=ERASED)
    FlagDecision.objects.filter(Q(person=user) | Q(other=user)).update(
        reason=ERASED, evidence=ERASED
    )
    AutomaticPause.objects.filter(person=user).update(evidence=ERASED)
    Recall.objects.filter(annotator=user).update(reason=ERASED)
    Recall.objects.filter(annotator=user).exclude(lift_reason="").update(lift_reason=ERASED)
    # No model learns from what is written in a test, and nothing that counts is reckoned from it.
    texts = ScreeningAnswer.objects.filter(person=user, item__kind__in=WRITTEN_KINDS)
    texts.update(said=ERASED)
    KindDecision.objects.filter(person=user).update(reason=ERASED)
    TestVerdict.objects.filter(answer__person=user).update(reason=ERASED)
    PayEntry.objects.filter(person=user).exclude(reason="").update(reason=ERASED)
    names = names_of(user)
    blank_mentions(names, PayEntry.objects.all(), "reason")
    blank_mentions(names, Recall.objects.all(), "reason", "lift_reason")
    blank_mentions(names, FlagDecision.objects.all(), "reason", "evidence")
    blank_mentions(names, KindDecision.objects.all(), "reason")
    blank_mentions(names, TestVerdict.objects.all(), "reason")
    blank_mentions(names, TicketEvent.objects.all(), "words")
    blank_mentions(names, TicketReport.objects.all(), "words")
    blank_mentions(names, MemberNote.objects.all(), "text")
    blank_mentions(names, Assignment.objects.exclude(skip_note=""), "skip_note")
    blank_mentions(names, Import.objects.all(), "name", "annotator", "problem")
    _blank_bad_lines(names)
    blank_mentions(names, ApiToken.objects.all(), "name")
    # Sent again, such a request does nothing, as before: only what was answered is gone.
    blank_mentions(names, ApiAnswer.objects.all(), "body", erased="")


def blank_mentions(
    names: list[str], rows: QuerySet[Any], *fields: str, erased: str = ERASED
) -> None:
    """Erase each text of `rows` that names a person."""
    is_meant = mention(names)
    for field in fields:
        found = Q(pk__in=[])
        for name in filter(None, names):
            found |= Q(**{f"{field}__icontains": name})
        texts = rows.filter(found).values_list("pk", field)
        meant = [key for key, text in texts if is_meant.search(text)]
        for part in chunks(meant):
            rows.filter(pk__in=part).update(**{field: erased})


def _blank_bad_lines(names: list[str]) -> None:
    """Erase what names the person in what was wrong with lines of files: it quotes them."""
    is_meant = mention(names)
    for key, bad in Import.objects.exclude(bad=[]).values_list("pk", "bad"):
        if any(is_meant.search(row["message"]) for row in bad):
            left = [
                {**row, "message": ERASED} if is_meant.search(row["message"]) else row
                for row in bad
            ]
            Import.objects.filter(pk=key).update(bad=left)


def _forget_sessions(user: User) -> None:
    """End every session of the person, and those that keep their name for a way back."""
    is_meant = mention(names_of(user))
    for session in Session.objects.iterator(chunk_size=500):
        kept = session.get_decoded()
        if kept.get("_auth_user_id") == str(user.pk) or is_meant.search(str(kept)):
            session.delete()
