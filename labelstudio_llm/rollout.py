"""Which migrations may be applied while processes of the version before still work.

Upgrading without a pause means that old code meets the new tables for some minutes: the old web
processes and workers go on reading and writing while the new ones start. So a migration may add
what old code does not notice, and nothing else; what is not used any more goes with the version
after.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models
from django.db.migrations import Migration, operations

SAFE = (
    operations.CreateModel,
    operations.AddIndex,
    operations.RenameIndex,
    operations.RemoveIndex,
    operations.RemoveConstraint,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
)
"""An index locks writes on PostgreSQL while it is built; that is a pause, not an error."""


def why_not_live(migration: Migration) -> list[str]:
    """Return why a migration must not be applied while old processes work; empty where it may."""
    return [why for operation in migration.operations for why in _reasons(operation)]


def _reasons(operation: operations.base.Operation) -> Iterator[str]:
    match operation:
        case operations.AddField():
            if not _old_code_can_insert(operation.field):
                yield (
                    f"adds {operation.model_name}.{operation.name}, which old code does not fill: "
                    "give it null=True or a db_default"
                )
        case operations.AlterField():
            yield (
                f"changes {operation.model_name}.{operation.name}: look whether old code writes "
                "what the new column refuses"
            )
        case operations.RemoveField() | operations.RenameField():
            yield f"takes a column of {operation.model_name} away, which old code reads"
        case operations.DeleteModel() | operations.RenameModel() | operations.AlterModelTable():
            yield "takes a table away, which old code reads"
        case operations.AddConstraint() | operations.AlterUniqueTogether():
            yield "adds a constraint: look whether old code keeps to it"
        case operations.SeparateDatabaseAndState():
            for inner in operation.database_operations:
                yield from _reasons(inner)
        case operations.RunPython() | operations.RunSQL():
            yield "runs code of its own: look what old code makes of it"
        case _ if not isinstance(operation, SAFE):
            yield f"does something unknown: {operation.describe()}"


def _old_code_can_insert(field: models.Field) -> bool:
    """Return whether a row may be inserted without the column.

    A `default` is Django's alone: the column itself has none, and old code would leave it out.
    """
    has_no_column = isinstance(field, models.ManyToManyField)
    return has_no_column or field.null or field.db_default is not models.NOT_PROVIDED
