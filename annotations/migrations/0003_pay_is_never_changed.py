"""Triggers that keep what was paid as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

TABLES = ("annotations_payrate", "annotations_payentry")
REFUSAL = "What was paid is never changed: write another entry."


def refusals(vendor: str) -> Iterator[str]:
    """Yield the statements that let the database refuse to change or delete rates and entries."""
    if vendor == "postgresql":
        yield (
            "CREATE OR REPLACE FUNCTION annotations_refuse_change() RETURNS trigger AS $$ "
            f"BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$ LANGUAGE plpgsql"
        )
    for table in TABLES:
        for act in ("UPDATE", "DELETE"):
            yield _trigger(vendor, f"{table}_no_{act.lower()}", act, table)


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in refusals(schema_editor.connection.vendor):
        schema_editor.execute(statement)


def _trigger(vendor: str, name: str, act: str, table: str) -> str:
    if vendor == "postgresql":
        return (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE {act} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION annotations_refuse_change()"
        )
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {act} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )


def unguard(apps: Any, schema_editor: Any) -> None:
    on_table = schema_editor.connection.vendor == "postgresql"
    for table in TABLES:
        for act in ("update", "delete"):
            where = f" ON {table}" if on_table else ""
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{act}{where}")
    if on_table:
        schema_editor.execute("DROP FUNCTION IF EXISTS annotations_refuse_change")


class Migration(migrations.Migration):
    replaces = [("annotations", "0012_pay_by_the_ledger_alone")]

    dependencies = [("annotations", "0002_references")]

    operations = [migrations.RunPython(guard, unguard)]
