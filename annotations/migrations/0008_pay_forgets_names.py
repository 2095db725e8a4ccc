"""What was paid stays; what an owner wrote about a person beside it may be erased."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from annotations.algorithms.immutable import refusals, removals

TABLE = "annotations_payentry"
COLUMNS = (
    "id", "project_id", "person_id", "source", "annotation_id", "rate_id", "reverses_id",
    "active_ms", "amount_micros", "currency", "reason", "made_by_id", "key", "created_at",
)  # fmt: skip
REFUSAL = "What was paid is never changed: write another entry."


def guards(vendor: str) -> Iterator[str]:
    """Yield what the database is told."""
    return refusals(vendor, TABLE, COLUMNS, REFUSAL, erasable={"reason": "'(erased)'"})


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in guards(schema_editor.connection.vendor):
        schema_editor.execute(statement)


def guard_as_before(apps: Any, schema_editor: Any) -> None:
    vendor = schema_editor.connection.vendor
    for statement in (*removals(vendor, TABLE), *refusals(vendor, TABLE, COLUMNS, REFUSAL)):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("annotations", "0007_sign_in")]

    operations = [migrations.RunPython(guard, guard_as_before)]
