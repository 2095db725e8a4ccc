"""Forgetting a person in what belongs to models, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from annotations import services as collecting
from training.models import (
    AuditEntry,
    Automation,
    Chat,
    Promotion,
    Round,
    WebhookAttempt,
    WebhookMessage,
)
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import User

CHUNK = 500
"""Rows in one statement."""


@transaction.atomic
def erase_person(user: User, *, by: User | None) -> User:
    """Make a person a number, everywhere or nowhere; the audit logs say that it was done.

    `by` is None where the operator did it on the server.
    """
    names = collecting.names_of(user)
    user.api_tokens.all().delete()
    Chat.objects.filter(person=user).delete()
    try:
        projects = collecting.erase_person(user)
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    _blank_facts(names)
    _blank_decisions(user)
    collecting.blank_mentions(names, AuditEntry.objects.all(), "reason", "subject_name")
    collecting.blank_mentions(names, Promotion.objects.all(), "reason")
    collecting.blank_mentions(names, Round.objects.all(), "decision")
    # What a person is asked for is reckoned again when the round is looked at.
    collecting.blank_mentions(names, Automation.objects.all(), "asks", erased="")
    collecting.blank_mentions(names, WebhookMessage.objects.all(), "body")
    collecting.blank_mentions(names, WebhookAttempt.objects.all(), "answer", "error")
    user.refresh_from_db()
    asked = "They asked for it." if by == user else "The operator was asked to."
    for project in projects:
        record(project, by, "erased", user, asked)
    return user


def erase_oneself(user: User, *, password: str, address: str) -> None:
    """Erase a person who asks for it and knows their password: a found session is not enough."""
    try:
        attempt = collecting.admit(user.username, address)
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
    if not user.check_password(password):
        raise ServiceError(_("That is not your password. Nothing was erased; try again."))
    collecting.succeed(attempt)
    erase_person(user, by=user)


def _blank_decisions(user: User) -> None:
    """Erase what the log says of decisions by hand about the person, whoever it names."""
    made = user.kind_decisions.all()
    about = AuditEntry.objects.filter(
        subject_kind=AuditEntry.kind_of(made.model()), subject_id__in=made.values("id")
    )
    about.update(reason=collecting.ERASED, facts={})


def _blank_facts(names: list[str]) -> None:
    is_meant = collecting.mention(names)
    entries = AuditEntry.objects.exclude(facts={}).values_list("id", "facts")
    meant = [key for key, facts in entries.iterator() if is_meant.search(str(facts))]
    for start in range(0, len(meant), CHUNK):
        AuditEntry.objects.filter(id__in=meant[start : start + CHUNK]).update(facts={})
