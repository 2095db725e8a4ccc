"""Look at every setting and everything the installation stands on, and say in words what is wrong.

Each examination yields findings; one that breaks is a finding itself, and the others go on.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import fsspec
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.http.request import validate_host
from fsspec.implementations.local import LocalFileSystem

from labelstudio_llm import readiness, rollout
from labelstudio_llm.celery import app
from labelstudio_llm.version import VERSION
from training import artifacts, store, streams
from training.lifecycle import QUEUES
from training.pipeline import machine
from training.pipeline.errors import PipelineError

Level = Literal["ok", "warning", "wrong"]

GIB = 2**30
LITTLE_DISK = 5 * GIB
OLDEST_REDIS = (6, 2)
"""Celery asks for messages that nobody acknowledged by a command that older ones do not know."""
NEARLY_FULL = 0.8
MOST_CLOCK_DIFFERENCE_S = 5.0
KILLED_AFTER_S = 60
"""What the units (TimeoutStopSec) and compose.yaml (stop_grace_period) give a worker."""
SHORTEST_SILENCE_S = 30
"""A child gives a sign of life every few seconds, and seldom while a large file is written."""
REACHED_IN_S = 3.0
INSPECT_TIMEOUT_S = 1.5
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)")
OURS = re.compile(
    r'environ(?:\.get\(|\[)"([A-Z_]+)"|(?:flag|number|words|one_of|networks|hosts_of)\("([A-Z_]+)"'
)
READING = ("settings.py", "environment.py")
"""Where the settings read them, below the project."""
ALSO_OURS = frozenset(
    {"TRAINING_DTYPE", "PORT", "CODE_VERSION", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN"}
)
"""Read by the Procfile, the start, the manifests and the runs, not by the settings."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    words: str
    """What is so, and where it is not well what to do."""


def examine() -> Iterator[Finding]:
    """Yield what is found, in the order in which one would mend it."""
    for examination in EXAMINATIONS:
        subject = examination.__name__.replace("_", " ")
        try:
            for level, words in examination():
                yield Finding(level, subject, words)
        except readiness.NotReady as problem:
            yield Finding("wrong", subject, f"{problem} ({problem.__cause__})")
        except Exception as error:  # whatever it is, it is what was to be found out
            yield Finding("wrong", subject, f"This could not be examined: {error!r}.")


Found = Iterator[tuple[Level, str]]


def version() -> Found:
    python = ".".join(map(str, sys.version_info[:3]))
    yield "ok", f"labelstudio-llm {VERSION}, code {artifacts.code_version()}, Python {python}."


def environment() -> Found:
    """Tell variables that nobody reads, but whose names are nearly those of settings."""
    known = known_variables()
    for name in sorted(os.environ):
        if name in known:
            continue
        if meant := difflib.get_close_matches(name, known, n=1, cutoff=0.85):
            yield "warning", f"{name} is set, but nothing reads it. Is {meant[0]} meant?"
    if settings.DEBUG:
        yield "warning", "DEBUG is on: errors show the code to everybody. Unset it for real work."
    if settings.DEMO:
        yield (
            "warning",
            "DEMO is on: there are people whose password is public. Unset it for real work.",
        )
    if (owner := settings.VAR_DIR.stat().st_uid) != os.geteuid():
        yield (
            "warning",
            f"VAR_DIR belongs to user {owner}, and this runs as user {os.geteuid()}: what may be "
            "read and written is not what the services may. Run it as their user.",
        )
    inside = [one for one in settings.VAR_DIR.iterdir() if one.name != "lost+found"]  # a disk's own
    if foreign := [one.name for one in inside if not os.access(one, os.W_OK)]:
        yield (
            "wrong",
            f"In {settings.VAR_DIR} this user may not write to {', '.join(sorted(foreign))}, which "
            "another one has made. Give all of it to the user of the services (chown -R).",
        )
    named = ", ".join(sorted(name for name in known if os.environ.get(name)))
    yield "ok", f"Set: {named or 'nothing; all settings have their defaults'}."


def known_variables() -> set[str]:
    """Return the variables that the settings read, from the text of the files that do so."""
    folder = settings.BASE_DIR / "labelstudio_llm"
    texts = ((folder / name).read_text(encoding="utf-8") for name in READING)
    return {first or second for first, second in OURS.findall("".join(texts))} | ALSO_OURS


def packages() -> Found:
    """Hold what is installed against what requirements.txt pins."""
    pins = pinned(settings.BASE_DIR / "requirements.txt")
    others = []
    for name, wanted in pins.items():
        there = installed(name)
        if there is None and name == "torch":
            yield "ok", "torch is not installed: for pages alone. A machine that trains needs it."
        elif there is None:
            others.append(f"{name} is missing")
        elif there.partition("+")[0] != wanted:
            others.append(f"{name} is {there} instead of {wanted}")
    if others:
        yield (
            "wrong",
            f"{'; '.join(others)}. Run `pip install -r requirements.txt` in this environment.",
        )
    else:
        yield "ok", f"What is installed of {len(pins)} packages has the version that is wanted."


def installed(package: str) -> str | None:
    """Return the version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def pinned(requirements: Path) -> dict[str, str]:
    """Return the packages of a file of requirements, and their versions."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return dict(found.groups() for line in lines if (found := PIN.match(line)))  # type: ignore[misc]  # two groups


def security() -> Found:
    """Repeat what Django's own checks say of the settings."""
    messages = checks.run_checks(include_deployment_checks=not (settings.DEBUG or settings.DEMO))
    for message in messages:
        level: Level = "wrong" if message.is_serious() else "warning"
        yield level, f"{message.msg} {message.hint or ''} ({message.id})".replace("  ", " ")
    key = settings.VAR_DIR / "secret_key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield "wrong", f"Others can read {key}. Run `chmod 600 {key}`."
    if stat.S_IMODE(settings.VAR_DIR.stat().st_mode) & 0o007:
        yield (
            "warning",
            "Other users of this machine can look into VAR_DIR, where files of the database and "
            f"what people wrote may lie. Run `chmod o-rwx {settings.VAR_DIR}`.",
        )
    if not (settings.DEBUG or settings.DEMO):
        behind = getattr(settings, "SECURE_PROXY_SSL_HEADER", None) is not None
        yield (
            "ok",
            (
                "A proxy ends TLS (BEHIND_PROXY); it must set X-Forwarded-Proto itself."
                if behind
                else "Nothing is said of a proxy. Where one ends TLS, set BEHIND_PROXY=1; without "
                "it the site redirects to https for ever."
            ),
        )
    if not messages:
        yield "ok", "Django's checks find nothing."


def database() -> Found:
    readiness.database()
    if connection.vendor == "postgresql":
        yield from _postgresql()
        return
    if not settings.EMBEDDED_BROKER:
        yield (
            "warning",
            "REDIS_URL is set, but the database is SQLite, which only one machine can use. "
            "Set DATABASE_URL where there are several.",
        )
    yield "ok", f"SQLite in {settings.DATABASES['default']['NAME']}."


ASKED_OF_POSTGRESQL = """
    SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp()),
           current_setting('transaction_read_only'), current_setting('server_encoding'),
           current_setting('lock_timeout'), current_setting('max_connections')::int,
           (SELECT sum(numbackends) FROM pg_stat_database), current_user
"""
MAY_NOT_WRITE = """
    SELECT relname FROM pg_class
    WHERE oid = ANY(%s::regclass[]) AND NOT (
        has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
        AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
    )
    ORDER BY relname
"""


def _postgresql() -> Found:
    asked = time.time()
    with connection.cursor() as cursor:
        cursor.execute(ASKED_OF_POSTGRESQL)
        [(server, clock, read_only, encoding, lock_timeout, most, taken, role)] = cursor.fetchall()
        tables = connection.introspection.django_table_names(only_existing=True)
        cursor.execute(MAY_NOT_WRITE, [[connection.ops.quote_name(table) for table in tables]])
        closed = [table for (table,) in cursor.fetchall()]
    if read_only == "on":
        yield (
            "wrong",
            "It takes no writes: DATABASE_URL leads to a standby, or the server was made "
            "read-only, as some are when their disk is full. Write the address of the primary.",
        )
    if encoding != "UTF8":
        yield (
            "wrong",
            f"Its encoding is {encoding}, which can't hold every language. Make one with ENCODING "
            "'UTF8' TEMPLATE template0, and bring a backup there.",
        )
    if closed:
        yield (
            "wrong",
            f"The role {role} may not read and write {_the_first(closed)}. Run the GRANTs of "
            "docs/operations.md (The logs that nobody changes) as the role that runs `migrate`.",
        )
    if abs(float(clock) - asked) > MOST_CLOCK_DIFFERENCE_S:
        yield (
            "warning",
            f"The clocks of this machine and the database differ by "
            f"{abs(float(clock) - asked):.0f} seconds. Switch NTP on for both.",
        )
    if taken > NEARLY_FULL * most:
        yield (
            "warning",
            f"{taken} of its {most} connections are taken. Raise max_connections: a web machine "
            "opens up to 72, a worker 3.",
        )
    if lock_timeout == "0":
        yield (
            "warning",
            "It does not know our limits of time (lock_timeout and others): a pooler in between "
            "keeps the `options` of a connection to itself. Connect without it.",
        )
    yield from _pooler()
    yield "ok", f"PostgreSQL {server} answers, for {role}; {taken} of {most} connections are taken."


def _pooler() -> Found:
    """Tell whether a pooler passes connections on between transactions: what we keep is lost then.

    The process that was promised to this connection is another one where there is a pooler. Where
    a second connection meets the first one's process, that was passed on.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [(here,)] = cursor.fetchall()
    promised = connection.connection.info.backend_pid
    if here == promised:
        return
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [(there,)] = cursor.fetchall()
    finally:
        other.close()
    if here == there:
        yield (
            "wrong",
            "A pooler passes connections on between transactions: prepared statements and cursors "
            "are lost. Let it pool by session (PgBouncer: pool_mode = session), or connect without "
            "it: each process passes its own connections on.",
        )
    else:
        yield "ok", "A pooler stands in between; it must pool by session."


def _the_first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


def migrations() -> Found:
    missing = readiness.missing_migrations()
    if missing:
        yield (
            "wrong",
            f"The database lacks {_the_first(missing)}. Run `python manage.py migrate`.",
        )
    loader = MigrationLoader(connection)
    # Into an empty database no old process writes.
    for name in missing if loader.applied_migrations else ():
        app_label, _, rest = name.partition(".")
        for why in rollout.why_not_live(loader.disk_migrations[app_label, rest]):
            yield "warning", f"{name} {why}. To be safe, stop the old processes before `migrate`."
    newer = unknown(loader.applied_migrations, loader.disk_migrations)
    if newer:
        yield (
            "warning",
            f"The database has migrations that this code does not know, {'.'.join(newer[-1])} the "
            "last: a newer version runs beside this one. Upgrade this machine, too.",
        )
    if not missing:
        yield "ok", f"All {len(loader.disk_migrations)} are applied."


def unknown(
    applied: Iterable[tuple[str, str]], known: Mapping[tuple[str, str], Migration]
) -> list[tuple[str, str]]:
    """Return our migrations that are applied and neither known nor merged into a known one."""
    merged = {key for migration in known.values() for key in migration.replaces}
    new = set(applied) - set(known) - merged
    return sorted(key for key in new if key[0] in ("annotations", "training"))


def broker() -> Found:
    """Ask the broker how it is set; many that are rented forbid CONFIG, and few forbid INFO."""
    readiness.broker()
    try:
        said = streams.connection().info()
    except streams.BrokerRefuses as error:
        yield "warning", f"It answers, and does not say how it is set ({error}). Allow INFO."
        return
    version = str(said["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        yield "wrong", f"Redis {version} is too old. Use {oldest} or newer, or any Valkey."
    if said.get("maxmemory_policy") != "noeviction":
        yield (
            "wrong",
            "The broker drops messages when its memory is full. Set `maxmemory-policy noeviction`.",
        )
    if not said.get("aof_enabled"):
        yield "warning", "The broker forgets everything at a restart. Set `appendonly yes`."
    if said.get("aof_last_write_status", "ok") != "ok":
        yield "wrong", "The broker can't write to its disk. Make room there; its log says more."
    most = int(said.get("maxmemory", 0))
    if most and said["used_memory"] > NEARLY_FULL * most:
        yield (
            "warning",
            f"{said['used_memory'] / most:.0%} of the broker's memory are taken; when it is full "
            "nothing is queued. Raise `maxmemory`.",
        )
    where = "the embedded one" if settings.EMBEDDED_BROKER else "REDIS_URL"
    name = "Valkey" if "valkey_version" in said else "Redis"
    yield "ok", f"It answers ({where}, {name} {said.get('valkey_version', version)})."


def workers() -> Found:
    """Ask who listens to which queue."""
    try:
        readiness.broker()
    except readiness.NotReady:
        yield "wrong", "Nobody can be asked: the broker does not answer."
        return
    found = app.control.inspect(timeout=INSPECT_TIMEOUT_S).active_queues() or {}
    served = {queue["name"] for queues in found.values() for queue in queues}
    for queue in sorted({"default", *QUEUES.values()} - served):
        yield (
            "warning",
            f"No worker listens to the queue “{queue}”. Start the one of the Procfile "
            f"(worker-{queue}).",
        )
    clocks = sorted(
        node for node, queues in found.items() if "default" in {queue["name"] for queue in queues}
    )
    if len(clocks) > 1:
        yield (
            "warning",
            f"{' and '.join(clocks)} listen to the queue “default”, and each has a clock. Keep "
            "one: all that comes at its time comes twice.",
        )
    if found:
        yield "ok", f"{', '.join(sorted(found))}."


def artifact_store() -> Found:
    try:
        store.check_writable()
    except store.StoreError as error:
        yield "wrong", f"It can't be written to: {error}. Check ARTIFACTS_URL and its permissions."
    else:
        yield "ok", f"{store.described()} can be written to."


def disk() -> Found:
    for name, folder in (("VAR_DIR", settings.VAR_DIR), ("artifacts", artifacts.root())):
        free = machine.disk_free(Path(folder))
        level: Level = "ok" if free >= LITTLE_DISK else "warning"
        advice = "" if level == "ok" else " A run may fill it: make room."
        yield level, f"{free / GIB:.1f} GiB are free for {name} ({folder}).{advice}"


def static_files() -> Found:
    collected = Path(settings.STATIC_ROOT) / "staticfiles.json"
    if settings.DEBUG:
        yield "ok", "DEBUG serves them from the source."
        return
    if not collected.exists():
        yield "wrong", "They are not collected. Run `python manage.py collectstatic --noinput`."
        return
    since = collected.stat().st_mtime
    sources = [path for folder in settings.STATICFILES_DIRS for path in Path(folder).rglob("*.*")]
    if newer := sorted(path.name for path in sources if path.stat().st_mtime > since):
        yield (
            "wrong",
            f"{_the_first(newer)} changed after they were collected. Run `python manage.py "
            "collectstatic --noinput`, then restart the web processes.",
        )
    else:
        yield "ok", f"They lie in {settings.STATIC_ROOT}."


def limits() -> Found:
    """Hold the times of a run against each other, and against those who would end it sooner."""
    wanted = 2 * settings.RUN_SHUTDOWN_SECONDS
    if wanted > KILLED_AFTER_S:
        yield (
            "warning",
            f"RUN_SHUTDOWN_SECONDS lets a worker take {wanted:.0f} seconds to end, and it is "
            f"killed after {KILLED_AFTER_S}. Raise TimeoutStopSec of its unit, or "
            "stop_grace_period in compose.yaml.",
        )
    if settings.RUN_SILENCE_SECONDS < SHORTEST_SILENCE_S:
        yield (
            "warning",
            f"RUN_SILENCE_SECONDS is {settings.RUN_SILENCE_SECONDS:g}: a run that is only slow is "
            f"taken from its worker. Set it to {SHORTEST_SILENCE_S} or more.",
        )
    yield "ok", f"A run may take {settings.RUN_LIMIT_HOURS:g} hours."


def elsewhere() -> Found:
    """Look at what is asked or written to now and then: nobody notices before that it is wrong."""
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        name = (urlsplit(origin).hostname or "").removeprefix("*")
        if not validate_host(name, settings.ALLOWED_HOSTS):
            yield (
                "warning",
                f"CSRF_TRUSTED_ORIGINS names {origin}, and ALLOWED_HOSTS does not: one is "
                "misspelt, or too much.",
            )
    if not (settings.DEMO or settings.METRICS_TOKEN or settings.METRICS_ADDRESSES):
        yield "warning", "Nobody may read /metrics. Set METRICS_TOKEN or METRICS_ADDRESSES."
    for name, url in (
        ("PUSH_HUB_URL", settings.PUSH_HUB_URL),
        ("HF_ENDPOINT", os.environ.get("HF_ENDPOINT")),
    ):
        if url and not re.match(r"https?://[^/]", url):
            yield "wrong", f"{name} is {url!r}. Write the hub's address, with https:// before it."
    for target in settings.PUSH_TARGETS:
        if problem := _why_not_pushed(target):
            yield "wrong", f"PUSH_TARGETS names {target}: {problem}"
    if settings.SENTRY_DSN:
        server = urlsplit(settings.SENTRY_DSN)
        port = server.port or (80 if server.scheme == "http" else 443)
        try:
            socket.create_connection((server.hostname, port), REACHED_IN_S).close()
        except OSError as error:
            yield (
                "warning",
                f"The server of SENTRY_DSN ({server.hostname}) can't be reached ({error}): errors "
                "are in the log alone.",
            )
    yield "ok", "Looked at: /metrics, Sentry, what is pushed and fetched."


def _why_not_pushed(target: str) -> str:
    try:
        filesystem, path = fsspec.core.url_to_fs(target)
    except (ImportError, ValueError) as error:
        return f"it can't be used here: {error}. Install the package of that kind of store."
    if isinstance(filesystem, LocalFileSystem):
        # Not exists(), which fails where this user may not look.
        places = (Path(path), *Path(path).parents)
        folder = next(place for place in places if os.access(place, os.F_OK))
        if not os.access(folder, os.W_OK):
            return (
                f"this user may not write to {folder}. Give it to them; under systemd name it in "
                "ReadWritePaths, too."
            )
    return ""


def base_models() -> Found:
    folders = artifacts.base_folders()
    for folder in folders:
        try:
            artifacts.check_base(folder)
        except PipelineError as error:
            yield "wrong", str(error)
        else:
            yield "ok", f"{folder}."
    if not folders:
        yield (
            "warning",
            f"There is none beside {settings.BASE_MODEL_PATH}. A machine that trains or samples "
            "needs the models that its projects name; a machine with pages alone does not.",
        )


def gpu() -> Found:
    gpus = machine.gpus_in_use()
    build = installed("torch")
    try:
        machine.chosen_dtype()
    except PipelineError as error:
        yield "wrong", str(error)
    if build is None:
        yield "ok", "Not looked at: without torch nothing is computed here."
    elif gpus and "+cpu" in build:
        yield (
            "wrong",
            f"This machine has {len(gpus)} GPUs, but torch {build} can't use one. Install the CUDA "
            "build (docs/operations.md, Installing).",
        )
    elif shutil.which("nvidia-smi") and not gpus:
        yield "warning", "nvidia-smi is there and lists no GPU. Is the driver loaded?"
    elif gpus:
        memory = ", ".join(f"{one.memory_total / GIB:.0f} GiB" for one in gpus)
        yield "ok", f"{len(gpus)} ({memory}), torch {build}."
    else:
        yield "ok", f"None; runs compute on the CPU, torch {build}."


EXAMINATIONS: Sequence[Callable[[], Found]] = (
    version,
    environment,
    packages,
    security,
    database,
    migrations,
    broker,
    workers,
    artifact_store,
    disk,
    static_files,
    limits,
    elsewhere,
    base_models,
    gpu,
)
