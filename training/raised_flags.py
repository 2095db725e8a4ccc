"""Telling webhooks of flags, which nobody writes down: they are reckoned whenever one looks."""

from __future__ import annotations

from django.db import transaction

from annotations import services
from training import outbox

Kind = outbox.Kind


def tell() -> None:
    """Tell of the flags that are raised now and were not told of: but not what of, or whom."""
    for project_id in outbox.projects_that_want(Kind.FLAG_RAISED):
        found = services.flags_raised(project_id)
        with transaction.atomic():
            for key in found:
                outbox.note(project_id, Kind.FLAG_RAISED, key)
