"""Readers of the environment: each returns what a variable says, or refuses it.

A refusal says what to do. `opened_by` is the setting that lets everybody in who reaches the site,
DEBUG or DEMO, and empty where neither is on.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
import fsspec
from django.core.exceptions import ImproperlyConfigured

from labelstudio_llm import broker

SHORTEST_SECRET_KEY = 50
SHORTEST_METRICS_TOKEN = 20
WELL_KNOWN_SECRET_KEYS = ("django-insecure", "changeme", "change-me", "secret", "example")
HOW_SIGNS_ARE_WRITTEN = "In a password # is written %23, / is %2F, ? is %3F and @ is %40."
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


def flag(name: str) -> bool:
    """Return the yes-or-no variable `name`; unset or empty is no."""
    value = os.environ.get(name, "").strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("", "0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; set it to 1 or 0.")


def number(name: str, default: float) -> float:
    """Return the variable `name` as a positive number."""
    value = os.environ.get(name) or default
    try:
        parsed = float(value)
    except ValueError:
        parsed = 0.0
    if not 0 < parsed < float("inf"):
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to a number above 0.")
    return parsed


def words(name: str) -> list[str]:
    """Return the comma-separated variable `name` as a list."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def one_of(name: str, values: tuple[str, ...]) -> str:
    """Return the variable `name`, which is one of the values; unset or empty is the first."""
    value = os.environ.get(name) or values[0]
    for known in values:
        if known.lower() == value.lower():
            return known
    raise ImproperlyConfigured(f"{name} is {value!r}; set it to {' or '.join(sorted(values))}.")


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the comma-separated addresses and networks of the variable `name`."""
    try:
        return [ipaddress.ip_network(word) for word in words(name)]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} can't be read ({error}). Write addresses or networks with commas between: "
            "10.0.0.7,10.1.0.0/16."
        ) from error


def generated_secret_key(path: Path) -> str:
    """Return the key in `path`, made on first use and readable by its owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    key = secrets.token_urlsafe(64)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    return key


def secret_key(folder: Path, opened_by: str) -> str:
    """Return SECRET_KEY; only a demo and DEBUG may do without, and keep their own in `folder`."""
    key = os.environ.get("SECRET_KEY", "")
    if not key and opened_by:
        return generated_secret_key(folder / "secret_key")
    advice = (
        "Set it to a long random text, for example the output of "
        "`python -c 'import secrets; print(secrets.token_urlsafe(64))'`."
    )
    if not key:
        raise ImproperlyConfigured(f"SECRET_KEY is not set. {advice}")
    if key.lower().startswith(WELL_KNOWN_SECRET_KEYS) or len(set(key)) < 5:
        raise ImproperlyConfigured(f"SECRET_KEY is easy to guess. {advice}")
    if len(key) < SHORTEST_SECRET_KEY:
        raise ImproperlyConfigured(
            f"SECRET_KEY has {len(key)} characters; it needs at least {SHORTEST_SECRET_KEY}. "
            f"{advice}"
        )
    return key


def former_secret_keys() -> list[str]:
    """Return SECRET_KEY_FALLBACKS: keys that read what they once wrote, and sign nothing new."""
    keys = words("SECRET_KEY_FALLBACKS")
    if any(len(key) < SHORTEST_SECRET_KEY for key in keys):
        raise ImproperlyConfigured(
            "SECRET_KEY_FALLBACKS holds a key that SECRET_KEY could never have been: it has fewer "
            f"than {SHORTEST_SECRET_KEY} characters. Write the keys of before, with commas between."
        )
    return keys


def allowed_hosts(opened_by: str) -> list[str]:
    """Return ALLOWED_HOSTS; away from a demo there is no default and no wildcard."""
    hosts = words("ALLOWED_HOSTS")
    check_names("ALLOWED_HOSTS", hosts)
    if opened_by:
        for host in hosts:
            if host not in THIS_MACHINE and not host.endswith(".localhost"):
                raise ImproperlyConfigured(
                    f"ALLOWED_HOSTS names {host}, and {opened_by} is on, which lets everybody in "
                    "who reaches the site. Turn it off, or leave ALLOWED_HOSTS out and reach the "
                    "site from this machine alone."
                )
        return hosts or list(THIS_MACHINE)
    if not hosts or "*" in hosts:
        raise ImproperlyConfigured(
            "ALLOWED_HOSTS must list the names that this site is reached by, without '*': "
            "for example ALLOWED_HOSTS=labels.example.org."
        )
    return hosts


def hosts_of(name: str) -> list[str]:
    """Return the comma-separated hosts of the variable `name`, in small letters."""
    hosts = [host.lower() for host in words(name)]
    check_names(name, hosts)
    return hosts


def check_names(name: str, hosts: list[str]) -> None:
    """Refuse what is no name of a host, and would never fit one: an address of a page, a port."""
    for host in hosts:
        if not re.fullmatch(r"[\w.*-]+|\[?[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]?", host):
            raise ImproperlyConfigured(
                f"{name} names {host!r}. Write names alone, without https://, port or path: for "
                f"example {name}=labels.example.org."
            )


def check_bind(opened_by: str) -> None:
    """Refuse a demo that listens to other machines: they can send any name of a host.

    And refuse a port that there is none of.
    """
    bind, port = os.environ.get("BIND") or THIS_MACHINE[1], os.environ.get("PORT") or "8000"
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        raise ImproperlyConfigured(f"PORT is {port!r}; set it to a number from 1 to 65535.")
    if opened_by and bind not in (*THIS_MACHINE, "::1") and not bind.startswith("127."):
        raise ImproperlyConfigured(
            f"BIND is {bind}, and {opened_by} is on, which lets everybody in who reaches the "
            "site. Turn it off, or unset BIND and reach the site from this machine alone."
        )


def trusted_origins() -> list[str]:
    """Return CSRF_TRUSTED_ORIGINS, each with how it is reached."""
    origins = words("CSRF_TRUSTED_ORIGINS")
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("https", "http") or not parts.netloc or parts.path.strip("/"):
            raise ImproperlyConfigured(
                f"CSRF_TRUSTED_ORIGINS names {origin!r}. Write each with https:// and without a "
                "path: CSRF_TRUSTED_ORIGINS=https://labels.example.org."
            )
    return [origin.rstrip("/") for origin in origins]


def embedded_or_named_broker(folder: Path) -> str:
    """Return where the broker listens: REDIS_URL, or the embedded one in `folder`."""
    url = os.environ.get("REDIS_URL", "")
    if not url:
        return broker.socket_url(folder)
    try:
        parts = urlsplit(url)
        is_named = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
        known = bool(is_named and re.fullmatch(r"/?\d*", parts.path))
    except ValueError:  # the port is no number
        known = False
    if not known and not url.startswith("redis+socket:///"):
        raise ImproperlyConfigured(
            "REDIS_URL can't be read; write redis://:password@host:6379/0, rediss:// for TLS, or "
            f"redis+socket:///folder/of/the.sock. {HOW_SIGNS_ARE_WRITTEN}"
        )
    return url


def own_folder(default: Path) -> Path:
    """Return VAR_DIR, made where it is not there. It has to be ours to write to."""
    folder = Path(os.environ.get("VAR_DIR") or default).resolve()
    try:
        # The database lies there, sessions, and what people wrote: no other user is to look.
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Large files lie there while they arrive, and are moved to the artifacts: renamed, on one
        # disk.
        (folder / "incoming").mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ImproperlyConfigured(
            f"VAR_DIR is {folder}, and nothing can be written there ({error.strerror}). Give that "
            "folder to the user that runs this, or name another."
        ) from error
    return folder


def artifacts_place(var_dir: Path) -> tuple[Path, str]:
    """Return the folder of the artifacts here, and where they lie if that is elsewhere.

    ARTIFACTS_URL names a folder (a path or a file:// URL), or a place that fsspec knows.
    """
    url = os.environ.get("ARTIFACTS_URL", "")
    if not url:
        return var_dir / "artifacts", ""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path)).resolve(), ""
    if not parts.scheme and "://" not in url:
        return Path(url).resolve(), ""
    if parts.scheme == "file" or not parts.netloc:
        raise ImproperlyConfigured(
            "ARTIFACTS_URL names no place. Write a folder (/path or file:///path) or a URL of "
            "object storage: s3://bucket/prefix."
        )
    try:
        fsspec.get_filesystem_class(parts.scheme)
    except (ImportError, ValueError) as error:
        raise ImproperlyConfigured(
            f"ARTIFACTS_URL begins with {parts.scheme}://, which can't be used here: {error}. For "
            "s3:// run `pip install -r requirements-production.txt`."
        ) from error
    return var_dir / "artifacts", url


SQLITE_OPTIONS = {
    "timeout": 20,
    # A transaction takes the write lock when it begins: the default (upgrade at the first
    # write) fails at once with "database is locked" when two upgrade at the same time.
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        "PRAGMA journal_mode=WAL;"
        # NORMAL may lose the last commits when the power goes; an answered submit must not.
        "PRAGMA synchronous=FULL;"
        "PRAGMA foreign_keys=ON;"
        "PRAGMA busy_timeout=20000;"
        "PRAGMA journal_size_limit=67108864;"
    ),
}
POSTGRESQL_OPTIONS = {
    "connect_timeout": 3,
    # A server that went without a word is given up after a while, not after a quarter of an hour.
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
    # A standby that is not promoted yet counts as a server that is away: it would refuse every
    # write with an error that nothing here waits out.
    "target_session_attrs": "read-write",
    # The server plans a statement once for each connection, not each time that it is sent.
    "server_side_binding": True,
    "prepare_threshold": 2,
    "application_name": "labelstudio-llm",
    "options": (
        "-c statement_timeout=60000 -c lock_timeout=5000 "
        "-c idle_in_transaction_session_timeout=30000 "
        # What is read by a cursor is read to its end. Planned for the first tenth, as is usual, a
        # report of a million answers held every one of them against every gold item.
        "-c cursor_tuple_fraction=1 "
        # Compiling a statement takes longer than all of these together, and what decides on it is
        # a guess of their costs.
        "-c jit=off"
    ),
}


def database(var_dir: Path) -> dict[str, Any]:
    """Return Django's settings for DATABASE_URL: PostgreSQL, or SQLite in `var_dir` by default."""
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{var_dir / 'db.sqlite3'}"
    try:
        parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL can't be read; write postgresql://user:password@host:5432/name "
            f"or sqlite:////folder/file.sqlite3. {HOW_SIGNS_ARE_WRITTEN}"
        ) from error
    engine = parsed["ENGINE"]
    if not parsed["NAME"]:
        raise ImproperlyConfigured(
            "DATABASE_URL names no database; write postgresql://user:password@host:5432/name. "
            f"{HOW_SIGNS_ARE_WRITTEN}"
        )
    if engine == "django.db.backends.sqlite3":
        options = SQLITE_OPTIONS
        parsed |= {"ENGINE": "labelstudio_llm.sqlite", "CONN_MAX_AGE": 60}
    elif engine == "django.db.backends.postgresql":
        options = POSTGRESQL_OPTIONS
        # After each request a connection goes to whoever is next.
        parsed |= {"ENGINE": "labelstudio_llm.postgresql", "CONN_MAX_AGE": 0}
    else:
        raise ImproperlyConfigured(
            f"DATABASE_URL names {engine.rpartition('.')[2]}; use PostgreSQL or SQLite."
        )
    parsed["OPTIONS"] = options | parsed.get("OPTIONS", {})
    return parsed


def metrics_token() -> str:
    """Return METRICS_TOKEN, which is long where there is one."""
    token = os.environ.get("METRICS_TOKEN", "")
    if token and len(token) < SHORTEST_METRICS_TOKEN:
        raise ImproperlyConfigured(
            f"METRICS_TOKEN has {len(token)} characters; it needs at least "
            f"{SHORTEST_METRICS_TOKEN}. Set it to a long random text."
        )
    return token
