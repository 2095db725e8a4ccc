"""Triggers that let a database keep rows as they were written, whoever asks for a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def refusals(
    vendor: str,
    table: str,
    columns: Sequence[str],
    message: str,
    *,
    erasable: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the statements after which the rows of a table are neither changed nor deleted.

    The columns in `erasable` may still be set to the one literal that stands there and to nothing
    else: what they said about a person can go, and what remains says that something stood here.
    Statements that were carried out before may be again.

    >>> for statement in refusals("sqlite", "t", ["id", "why"], "No.", erasable={"why": "'-'"}):
    ...     print(statement)
    DROP TRIGGER IF EXISTS t_no_update
    CREATE TRIGGER t_no_update BEFORE UPDATE ON t WHEN NOT (NEW.id IS OLD.id AND \
(NEW.why IS OLD.why OR NEW.why = '-')) BEGIN SELECT RAISE(ABORT, 'No.'); END
    DROP TRIGGER IF EXISTS t_no_delete
    CREATE TRIGGER t_no_delete BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'No.'); END
    """
    stays = _stays(vendor, columns, erasable or {})
    if vendor == "postgresql":
        yield (
            f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger AS $$ "
            f"BEGIN RAISE EXCEPTION '{message}'; END $$ LANGUAGE plpgsql"
        )
    for act, condition in (("UPDATE", f" WHEN NOT ({stays})"), ("DELETE", "")):
        name = f"{table}_no_{act.lower()}"
        if vendor == "postgresql":
            condition = condition.replace("WHEN ", "WHEN (") + ")" if condition else ""
            yield (
                f"CREATE OR REPLACE TRIGGER {name} BEFORE {act} ON {table} "
                f"FOR EACH ROW{condition} EXECUTE FUNCTION {table}_refuse()"
            )
        else:
            yield f"DROP TRIGGER IF EXISTS {name}"
            yield (
                f"CREATE TRIGGER {name} BEFORE {act} ON {table}{condition} "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )


def removals(vendor: str, table: str) -> Iterator[str]:
    """Yield the statements that take such triggers away again."""
    where = f" ON {table}" if vendor == "postgresql" else ""
    for act in ("update", "delete"):
        yield f"DROP TRIGGER IF EXISTS {table}_no_{act}{where}"
    if vendor == "postgresql":
        yield f"DROP FUNCTION IF EXISTS {table}_refuse"


def _stays(vendor: str, columns: Sequence[str], erasable: Mapping[str, str]) -> str:
    """Return the condition that an update changes nothing that it may not."""
    same = "IS NOT DISTINCT FROM" if vendor == "postgresql" else "IS"
    kept = [
        f"(NEW.{column} {same} OLD.{column} OR NEW.{column} = {erasable[column]})"
        if column in erasable
        else f"NEW.{column} {same} OLD.{column}"
        for column in columns
    ]
    return " AND ".join(kept)
