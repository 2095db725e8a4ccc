"""What PostgreSQL knows of how many rows there are, kept up where many come at once.

It looks by itself about once a minute, and goes by what was there before until then: after the
first large import, texts of one item are looked for in all of them.
"""

from __future__ import annotations

from django.db import connection

MANY_ROWS = 1000
"""A table in which fewer rows changed is read quickly, whatever is thought of it."""

MAINTAIN = 17
"""The version of PostgreSQL from which others than the owner may be allowed to analyse a table."""

GREW = """
SELECT known.relname
FROM pg_stat_user_tables known JOIN pg_class own ON own.oid = known.relid
WHERE known.schemaname = current_schema() AND {is_allowed}
  AND known.n_mod_since_analyze >= %s AND 2 * known.n_mod_since_analyze >= known.n_live_tup
ORDER BY known.relname
"""


def analyse_what_grew() -> list[str]:
    """Analyse each table half of whose rows are new or changed; return their names.

    Tables that this role may not analyse are left to the server, and one that it analyses already.
    """
    if connection.vendor != "postgresql":
        return []
    is_allowed = "pg_has_role(own.relowner, 'USAGE')"
    # To the type checker it may be any database's, of which only this one has a `pg_version`.
    if connection.pg_version >= MAINTAIN * 10_000:  # type: ignore[attr-defined]
        is_allowed = "has_table_privilege(known.relid, 'MAINTAIN')"
    with connection.cursor() as cursor:
        cursor.execute(GREW.format(is_allowed=is_allowed), [MANY_ROWS])
        tables = [str(table) for (table,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"ANALYZE (SKIP_LOCKED) {connection.ops.quote_name(table)}")
    return tables
