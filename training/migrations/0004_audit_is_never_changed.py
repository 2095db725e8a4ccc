"""Triggers that keep the audit log as it was written, but for texts that name a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from annotations.algorithms.immutable import refusals, removals

TABLE = "training_auditentry"
COLUMNS = (
    "id", "project_id", "user_id", "action", "subject_kind", "subject_id", "subject_name",
    "reason", "facts", "created_at",
)  # fmt: skip
ERASABLE = {"subject_name": "'(erased)'", "reason": "'(erased)'", "facts": "'{}'"}
REFUSAL = "The audit log is never changed: record another entry."


def guards(vendor: str) -> Iterator[str]:
    """Yield what the database is told."""
    return refusals(vendor, TABLE, COLUMNS, REFUSAL, erasable=ERASABLE)


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in guards(schema_editor.connection.vendor):
        schema_editor.execute(statement)


def unguard(apps: Any, schema_editor: Any) -> None:
    for statement in removals(schema_editor.connection.vendor, TABLE):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("training", "0003_pushes")]

    operations = [migrations.RunPython(guard, unguard)]
