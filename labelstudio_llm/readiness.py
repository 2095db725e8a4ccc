"""Whether what the site stands on is there: database, migrations, broker, artifact store.

Each check raises NotReady with a sentence that names no address and no secret: anybody may read it
at /readyz. What exactly went wrong is in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from django.db import DatabaseError, NotSupportedError, connection
from django.db.migrations.executor import MigrationExecutor

from training import store, streams

logger = logging.getLogger(__name__)

STORE_AGAIN_S = 30.0
"""For so long the store is not written to again once that has worked."""


class NotReady(Exception):
    """Something that the site stands on is missing; the message says what, and what to do."""


def database() -> None:
    """Raise NotReady unless the database answers, and is one that takes writes."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except NotSupportedError as error:
        raise NotReady("The database server is too old. Use PostgreSQL 14 or newer.") from error
    except DatabaseError as error:
        raise NotReady(
            "The database does not answer, or takes no writes. Check that it runs, that it is no "
            "standby, and that DATABASE_URL is right."
        ) from error


_migrated = False


def migrations() -> None:
    """Raise NotReady unless the database has every migration of this code.

    It may have more: those of a newer version that is being rolled out.
    """
    global _migrated
    if _migrated:  # what is applied stays so while this process lives
        return
    missing = missing_migrations()
    if missing:
        raise NotReady(
            f"The database lacks {len(missing)} migrations. Run `python manage.py migrate`."
        )
    _migrated = True


def missing_migrations() -> list[str]:
    """Return the migrations of this code that the database does not have."""
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise NotReady("What migrations the database has can't be read.") from error
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def broker() -> None:
    """Raise NotReady unless the broker takes what it is given: one that is full still answers."""
    try:
        streams.try_to_write()
    except streams.BrokerRefuses as error:
        raise NotReady(
            "The broker takes nothing. Check that its memory and its disk have room, and that it "
            "is no replica. Labelling goes on without it; runs wait."
        ) from error
    except streams.BrokerError as error:
        raise NotReady(
            "The broker does not answer. Check that it runs and that REDIS_URL is right. "
            "Labelling goes on without it; runs wait."
        ) from error


_stored_at = float("-inf")


def artifacts() -> None:
    """Raise NotReady unless the artifact store can be written to."""
    global _stored_at
    if time.monotonic() - _stored_at < STORE_AGAIN_S:
        return
    try:
        store.check_writable()
    except store.StoreError as error:
        raise NotReady(
            "The artifact store can't be written to. Check ARTIFACTS_URL, its permissions and the "
            "space that is left. Labelling goes on without it; snapshots and runs fail."
        ) from error
    _stored_at = time.monotonic()


CHECKS: Mapping[str, Callable[[], None]] = {
    "database": database,
    "migrations": migrations,
    "broker": broker,
    "artifacts": artifacts,
}


def failing(left_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return what is not ready, with a sentence for each."""
    found = {}
    for name, check in CHECKS.items():
        if name in left_out:
            continue
        try:
            check()
        except NotReady as problem:
            logger.warning("Not ready: %s (%s)", problem, problem.__cause__)
            found[name] = str(problem)
    return found
