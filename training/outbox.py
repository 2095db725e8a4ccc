"""What happened, written down for those who want to be told elsewhere.

A message is a row of the transaction that made the change: it is there exactly if the change is.
What it holds is thin: ids, kinds and times, and nothing that a person wrote.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone

from annotations import exports
from annotations.prepared import Prepared
from training.models import Webhook, WebhookMessage

if TYPE_CHECKING:
    from annotations.models import FlagDecision

Kind = Webhook.Kind

messages_wait = Signal()
"""A message was written. Sent on commit; without a receiver the scheduler finds the message."""


def note(project_id: int, kind: str, key: object, /, **data: Any) -> None:
    """Write what happened for each webhook that asked for it. Call it inside the transaction.

    `key` tells it from others of its kind: what happened is told once.
    """
    _write(_wanted(project_id, kind)[kind], project_id, kind, key, data)


def hear_annotated(
    sender: object,
    *,
    project_id: int,
    kind: str,
    annotation_id: int,
    item_id: int,
    annotation_kind: str,
    supersedes_id: int | None,
    **_signal: Any,
) -> None:
    """Write what happened to an annotation, and that its item is finished where it is now.

    The clock sends it: a label never waits for the broker.
    """
    wanted = _wanted(project_id, kind, Kind.ITEM_FINISHED)
    told = {
        "annotation_id": annotation_id,
        "item_id": item_id,
        "kind": annotation_kind,
        "supersedes_id": supersedes_id,
    }
    _write(wanted[kind], project_id, kind, annotation_id, told, at_once=False)
    if not wanted[Kind.ITEM_FINISHED]:
        return
    overlap = exports.finished_overlap(item_id)
    if overlap is not None:
        key, told = f"{item_id}:{overlap}", {"item_id": item_id, "overlap": overlap}
        _write(wanted[Kind.ITEM_FINISHED], project_id, Kind.ITEM_FINISHED, key, told, at_once=False)


def hear_flag_decided(sender: object, *, decision: FlagDecision, **_signal: Any) -> None:
    """Write that somebody decided about a flag, but not what, or about whom."""
    note(decision.project_id, Kind.FLAG_DECIDED, decision.pk, flag_decision_id=decision.pk)


def note_test(webhook: Webhook) -> WebhookMessage:
    """Write a message that says nothing but that it arrived."""
    key = uuid.uuid4().hex
    _write([webhook.pk], webhook.project_id, Webhook.TEST, key, {})
    return WebhookMessage.objects.get(webhook=webhook, key=f"{Webhook.TEST}:{key}")


def projects_that_want(kind: str) -> list[int]:
    """Return the projects with a webhook that is told of this kind."""
    rows = Webhook.objects.filter(is_active=True).values_list("project_id", "kinds")
    return sorted({project_id for project_id, kinds in rows if kind in kinds})


def _wanted(project_id: int, *kinds: str) -> dict[str, list[int]]:
    """Return which webhooks are to be told of each kind."""
    rows = _ACTIVE(project=project_id)
    return {kind: [webhook for webhook, asked in rows if kind in asked] for kind in kinds}


_ACTIVE = Prepared(
    lambda *, project: Webhook.objects.filter(project=project, is_active=True).values_list(
        "id", "kinds"
    ),
    "project",
)


def _write(
    webhooks: list[int],
    project_id: int,
    kind: str,
    key: object,
    data: dict[str, Any],
    *,
    at_once: bool = True,
) -> None:
    if not webhooks:
        return
    now = timezone.now()
    values = {
        "type": kind,
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "data": {"project_id": project_id, **data},
    }
    body = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    WebhookMessage.objects.bulk_create(
        [
            WebhookMessage(
                webhook_id=webhook,
                uid=f"msg_{uuid.uuid4().hex}",
                kind=kind,
                key=f"{kind}:{key}",
                body=body,
                next_at=Now(),  # held against the same clock, which this machine's need not be
            )
            for webhook in webhooks
        ],
        ignore_conflicts=True,
    )
    if at_once:
        transaction.on_commit(hint)


def hint() -> None:
    """Tell whoever sends messages that one waits."""
    messages_wait.send(sender=WebhookMessage)
