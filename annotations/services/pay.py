"""The ledger of pay: written in the transaction of what it is about, and never changed.

Whatever is handed in is paid by the rate that holds at that moment, surplus and gold items as well:
what somebody thinks of the work later has no way to get here. A correction is paid by the rate of
what it corrects, so that nobody gains by sending old work again under a better one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms.pay import amount_micros, to_cents, to_micros
from annotations.algorithms.text import unix_newlines
from annotations.models import Annotation, Item, Kind, PayEntry, PayRate, Project, User
from annotations.prepared import Prepared, Slot
from annotations.selectors.pay import Period, earned_in
from annotations.services.rules import ServiceError, check, leave_to_another, lock

MAX_REASON_CHARS = 300
MOST = Decimal(1_000_000)
"""Of a currency, for an item, an hour or one adjustment."""

Source = PayEntry.Source


@transaction.atomic
def set_rate(
    project: Project,
    *,
    kind: str,
    per_item: Decimal,
    per_hour: Decimal,
    currency: str,
    made_by: User,
    starts_at: datetime | None = None,
) -> PayRate:
    """Let a rate hold from a moment on: from now, if none is given. Nothing earned changes."""
    if kind and kind not in Kind.values:
        raise ServiceError("Choose a kind of work, or all of them.")
    if not (0 <= per_item <= MOST and 0 <= per_hour <= MOST):
        raise ServiceError(f"Choose rates from 0 to {MOST:,}.")
    now = timezone.now()
    if starts_at is not None and starts_at < now:
        raise ServiceError(
            "What was earned stays as it is, so a rate begins today or later. Choose another day, "
            "and add a bonus for what was paid too little."
        )
    return PayRate.objects.create(
        project=project,
        kind=kind,
        per_item_micros=to_micros(per_item),
        per_hour_micros=to_micros(per_hour),
        currency=currency,
        starts_at=starts_at or now,
        created_by=made_by,
    )


def pay(annotation: Annotation) -> None:
    """Write down what an answer earns, where its kind is paid. Votes of the arena are no work."""
    if annotation.item.purpose == Item.Purpose.ARENA:
        return
    now = timezone.now()
    rate = _rate_at(now, annotation.item.project_id, annotation.kind)
    if rate is not None:
        _write_work(annotation, rate, now)


def pay_correction(earlier: Annotation, later: Annotation) -> None:
    """Pay a correction instead of what it corrects, by the same rate."""
    reversal = reverse_pay(earlier)
    if reversal is not None and reversal.rate is not None:
        _write_work(later, reversal.rate, timezone.now())


def reverse_pay(annotation: Annotation) -> PayEntry | None:
    """Take back what an answer earned, by an entry of its own."""
    paid = (
        PayEntry.objects.filter(annotation=annotation, source=Source.WORK, reversed_by=None)
        .select_related("rate")
        .first()
    )
    if paid is None:
        return None
    return PayEntry.objects.create(
        project_id=paid.project_id,
        person_id=paid.person_id,
        source=Source.REVERSAL,
        annotation=annotation,
        rate=paid.rate,
        reverses=paid,
        active_ms=-paid.active_ms,
        amount_micros=-paid.amount_micros,
        currency=paid.currency,
    )


@transaction.atomic
def adjust_pay(
    project: Project,
    person: User,
    amount: Decimal,
    *,
    currency: str,
    reason: str,
    made_by: User,
    key: UUID,
    below_zero: bool = False,
) -> PayEntry:
    """Add to what a person has earned this month, or take from it; asked twice it is done once."""
    lock(project)
    if done := PayEntry.objects.filter(key=key).first():
        return done
    leave_to_another(made_by, project, [person], _("This is your own statement."))
    reason = check(unix_newlines(reason.strip()), gettext_noop("The reason"), MAX_REASON_CHARS)
    if not reason:
        raise ServiceError(_("Say why: the person reads it on their statement."))
    micros = to_micros(amount)
    if not micros or abs(amount) > MOST:
        raise ServiceError(
            _("Choose an amount up to %(most)s either way, and not zero.")
            % {"most": number_format(MOST, force_grouping=True)}
        )
    left = earned_in(project, person, Period.now(), currency) + micros
    if micros < 0 and left < 0 and not below_zero:
        raise ServiceError(
            _(
                "%(person)s would be left with %(left)s %(currency)s for this month, which is "
                "below zero. Take less, or say that you mean it."
            )
            % {
                "person": person,
                "left": number_format(to_cents(left)),
                "currency": currency,
            }
        )
    return PayEntry.objects.create(
        project=project,
        person=person,
        source=Source.ADJUSTMENT,
        amount_micros=micros,
        currency=currency,
        reason=reason,
        made_by=made_by,
        key=key,
    )


def _rate_at(moment: datetime, project_id: int, kind: str) -> PayRate | None:
    """Return the rate of a kind at a moment; its own goes before that of all kinds."""
    rates = _RATES(project=project_id, kind=str(kind))
    return next((rate for rate in rates if rate.starts_at <= moment), None)


def _rates(*, project: Slot, kind: Slot) -> QuerySet[PayRate]:
    rates = PayRate.objects.filter(Q(kind=kind) | Q(kind=""), project=project)
    return rates.order_by("-kind", "-starts_at", "-id")


_RATES = Prepared(_rates, "project", "kind")


def _write_work(annotation: Annotation, rate: PayRate, now: datetime) -> None:
    active = annotation.active_ms or 0
    PayEntry.objects.create(
        project_id=rate.project_id,
        person_id=annotation.annotator_id,
        source=Source.WORK,
        annotation=annotation,
        rate=rate,
        active_ms=active,
        amount_micros=amount_micros(
            active, per_item=rate.per_item_micros, per_hour=rate.per_hour_micros
        ),
        currency=rate.currency,
        created_at=now,
    )
