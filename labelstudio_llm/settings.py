"""Settings, read from the environment here and nowhere else.

What is wrong is refused at the start, with a sentence that says what to do. Every variable is
listed in docs/operations.md.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
import fsspec
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from labelstudio_llm import broker, logs, sentry, shared_cache
from labelstudio_llm.version import VERSION

BASE_DIR = Path(__file__).resolve().parent.parent

SHORTEST_SECRET_KEY = 50
SHORTEST_METRICS_TOKEN = 20
WELL_KNOWN_SECRET_KEYS = ("django-insecure", "changeme", "change-me", "secret", "example")


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


def secret_key() -> str:
    """Return SECRET_KEY; only a demo and DEBUG may do without one of their own."""
    key = os.environ.get("SECRET_KEY", "")
    if not key and (DEBUG or DEMO):
        return generated_secret_key(VAR_DIR / "secret_key")
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


THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


def allowed_hosts() -> list[str]:
    """Return ALLOWED_HOSTS; away from a demo there is no default and no wildcard."""
    hosts = words("ALLOWED_HOSTS")
    check_names("ALLOWED_HOSTS", hosts)
    if DEBUG or DEMO:
        for host in hosts:
            if host not in THIS_MACHINE and not host.endswith(".localhost"):
                raise ImproperlyConfigured(
                    f"ALLOWED_HOSTS names {host}, and {'DEBUG' if DEBUG else 'DEMO'} is on, which "
                    "lets everybody in who reaches the site. Turn it off, or leave ALLOWED_HOSTS "
                    "out and reach the site from this machine alone."
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


def check_bind() -> None:
    """Refuse a demo that listens to other machines: they can send any name of a host."""
    bind = os.environ.get("BIND") or THIS_MACHINE[1]
    if (DEBUG or DEMO) and bind not in (*THIS_MACHINE, "::1") and not bind.startswith("127."):
        raise ImproperlyConfigured(
            f"BIND is {bind}, and {'DEBUG' if DEBUG else 'DEMO'} is on, which lets everybody in "
            "who reaches the site. Turn it off, or unset BIND and reach the site from this "
            "machine alone."
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


def embedded_or_named_broker() -> str:
    """Return where the broker listens: REDIS_URL, or the embedded one in VAR_DIR."""
    url = os.environ.get("REDIS_URL", "")
    if not url:
        return broker.socket_url(BROKER_DIR)
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number
        known = False
    if not known and not url.startswith("redis+socket:///"):
        raise ImproperlyConfigured(
            "REDIS_URL can't be read; write redis://:password@host:6379/0, rediss:// for TLS, or "
            "redis+socket:///folder/of/the.sock."
        )
    return url


def own_folder() -> Path:
    """Return VAR_DIR, made where it is not there. It has to be ours to write to."""
    folder = Path(os.environ.get("VAR_DIR") or BASE_DIR / "var").resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Large files lie there while they arrive, and are moved to the artifacts: renamed, on one
        # disk.
        (folder / "incoming").mkdir(exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"VAR_DIR is {folder}, and nothing can be written there ({error.strerror}). Give that "
            "folder to the user that runs this, or name another."
        ) from error
    return folder


def artifacts_place() -> tuple[Path, str]:
    """Return the folder of the artifacts here, and where they lie if that is elsewhere.

    ARTIFACTS_URL names a folder (a path or a file:// URL), or a place that fsspec knows.
    """
    url = os.environ.get("ARTIFACTS_URL", "")
    if not url:
        return VAR_DIR / "artifacts", ""
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
    return VAR_DIR / "artifacts", url


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
    # The server plans a statement once for each connection, not each time that it is sent.
    "server_side_binding": True,
    "prepare_threshold": 2,
    "application_name": "labelstudio-llm",
    "options": (
        "-c statement_timeout=60000 -c lock_timeout=5000 "
        "-c idle_in_transaction_session_timeout=30000 "
        # What is read by a cursor is read to its end. Planned for the first tenth, as is usual, a
        # report of a million answers held every one of them against every gold item.
        "-c cursor_tuple_fraction=1"
    ),
}


def database() -> dict[str, Any]:
    """Return Django's settings for DATABASE_URL: PostgreSQL, or SQLite in VAR_DIR by default."""
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'db.sqlite3'}"
    try:
        parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL can't be read; write postgresql://user:password@host:5432/name "
            "or sqlite:////folder/file.sqlite3."
        ) from error
    engine = parsed["ENGINE"]
    if not parsed["NAME"]:
        raise ImproperlyConfigured(
            "DATABASE_URL names no database; write postgresql://user:password@host:5432/name."
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


# The platform ------------------------------------------------------------------------------

DEBUG = flag("DEBUG")
DEMO = flag("DEMO")
"""A demonstration on this machine: its people sign in with one click, over plain http."""

check_bind()

VAR_DIR = own_folder()
"""Where everything lies that this installation writes."""
FILE_UPLOAD_TEMP_DIR = VAR_DIR / "incoming"

ARTIFACTS_ROOT, ARTIFACTS_REMOTE = artifacts_place()
BASE_MODEL_PATH = Path(
    os.environ.get("BASE_MODEL_PATH") or VAR_DIR / "models" / "smollm2-135m-instruct"
).resolve()

# Models are files beside BASE_MODEL_PATH and in ARTIFACTS_ROOT; no run asks a hub for anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
HAS_MODEL_HUB = not flag("HF_HUB_OFFLINE")
"""Whether engineers may have base models fetched, from HF_ENDPOINT with HF_TOKEN."""

# Django ------------------------------------------------------------------------------------

SECRET_KEY = secret_key()
SECRET_KEY_FALLBACKS = former_secret_keys()
ALLOWED_HOSTS = allowed_hosts()
CSRF_TRUSTED_ORIGINS = trusted_origins()

INSTALLED_APPS = [
    "labelstudio_llm",
    "annotations",
    "training",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
]
MIDDLEWARE = [
    "labelstudio_llm.middleware.believe_proxy",
    "labelstudio_llm.requests.number_requests",
    # Before the redirect to https and the check of the host: who probes asks by an address.
    "labelstudio_llm.probes.answer_probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "labelstudio_llm.middleware.keep_private",
    "labelstudio_llm.languages.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "labelstudio_llm.middleware.DatabaseBusyMiddleware",
    "labelstudio_llm.middleware.explain_wrong_method",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "labelstudio_llm.version.shown",
            ],
            "builtins": ["django.templatetags.i18n", "annotations.templatetags.languages"],
        },
    },
]
ROOT_URLCONF = "labelstudio_llm.urls"
WSGI_APPLICATION = "labelstudio_llm.wsgi.application"

DATABASES = {"default": database()}
# Figures that can be reckoned again, shared by all processes.
KEPT_FOR = 7 * 24 * 3600
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": VAR_DIR / "cache",
        "TIMEOUT": KEPT_FOR,
        # Django keeps 300 and throws out any of them; a project alone has a dozen, and one for
        # each group, batch and tag that somebody looks at.
        "OPTIONS": {"MAX_ENTRIES": 5_000},
    }
}
if redis_url := os.environ.get("REDIS_URL"):  # several machines, perhaps
    CACHES["default"] = {
        "BACKEND": "labelstudio_llm.shared_cache.SharedCache",
        "LOCATION": shared_cache.address(redis_url),
        "KEY_PREFIX": "labelstudio-llm-kept",
        "TIMEOUT": KEPT_FOR,
        "OPTIONS": {
            "serializer": "labelstudio_llm.shared_cache.SignedPickles",
            "socket_timeout": 5,
            "socket_connect_timeout": 1,
        },
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "labelstudio_llm.staticfiles.HashedStaticFiles"
    },
}

# People --------------------------------------------------------------------------------------

AUTH_USER_MODEL = "annotations.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "annotations:sign_in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "annotations:sign_in"

# Security ------------------------------------------------------------------------------------

HTTPS = not (DEBUG or DEMO)
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
BEHIND_PROXY = flag("BEHIND_PROXY")
"""A proxy in front says by which protocol, and from which address, a request came."""
if BEHIND_PROXY:
    # Only a proxy that sets this header itself, whatever the client sent, may be believed.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

SESSION_ENGINE = "labelstudio_llm.signed_in"
AUTHENTICATION_BACKENDS = ["labelstudio_llm.signed_in.Backend"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

# Large enough that a paste of several megabytes reaches its form, which refuses it with a
# sentence and gives the text back; Django itself would answer with a bare error page.
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
# An assembly of nine long texts has a field for each of their parts, a hundred at most.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 4

# Celery --------------------------------------------------------------------------------------

BROKER_DIR = VAR_DIR / "broker"
EMBEDDED_BROKER = not os.environ.get("REDIS_URL")
CELERY_BROKER_URL = embedded_or_named_broker()
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # Without it a publish to a hung broker waits for ever.
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "global_keyprefix": "labelstudio-llm:",
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
# Nothing reads results: pages read the database.
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
RUN_SHUTDOWN_SECONDS = number("RUN_SHUTDOWN_SECONDS", 20)
"""How long a run may take to save when its worker is to end; then it is killed and resumed."""
# How long a stopping worker lets its task come to an end by itself.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = RUN_SHUTDOWN_SECONDS + 5
# On a busy machine a new process of a worker is ready later than after Celery's four seconds; it
# would be killed and begun anew, again and again.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Runs have a limit of their own; everything else is done in minutes.
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
# One that could not be sent in time is not caught up on: the next does the same.
CELERY_BEAT_SCHEDULE = {
    "send hints again": {
        "task": "training.dispatch_queued_runs",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "send hints of waiting turns again": {
        "task": "training.dispatch_waiting_turns",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "drive rounds": {
        "task": "training.drive_rounds",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    "go on with imports": {
        "task": "annotations.continue_imports",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "weigh what is asked next": {
        "task": "training.weigh_questions",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "take back lost runs": {
        "task": "training.find_lost_runs",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "pause whom flags are sure about": {
        "task": "training.pause_flagged",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "keep daily figures up to date": {
        "task": "annotations.keep_up_daily_figures",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "keep reports of agreement up to date": {
        "task": "annotations.keep_up_agreement",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "send messages to webhooks": {
        "task": "training.deliver_webhooks",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    "send hints of pushes again": {
        "task": "training.dispatch_pushes",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "send hints of base models again": {
        "task": "training.dispatch_fetches",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "tell webhooks of flags": {
        "task": "training.tell_of_flags",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "forget old messages to webhooks": {
        "task": "training.forget_webhook_messages",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "forget imports that were left alone": {
        "task": "annotations.forget_imports",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "keep leaderboards up to date": {
        "task": "training.keep_up_boards",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
}

# Runs ----------------------------------------------------------------------------------------

RUN_LIMIT_HOURS = number("RUN_LIMIT_HOURS", 48)
"""The wall clock of one attempt at a run."""
RUN_SILENCE_SECONDS = number("RUN_SILENCE_SECONDS", 90)
"""A running run whose worker says nothing for so long is taken back."""

# Conversations -------------------------------------------------------------------------------

REPLIES_IDLE_SECONDS = number("REPLIES_IDLE_SECONDS", 600)
"""How long the model that answers conversations stays in memory after the last turn."""

# The API for programs ------------------------------------------------------------------------

API_REQUESTS_PER_MINUTE = int(number("API_REQUESTS_PER_MINUTE", 600))
"""How many requests one token may make in a minute."""

# External endpoints --------------------------------------------------------------------------

ALLOWED_PRIVATE_ENDPOINTS = hosts_of("ALLOWED_PRIVATE_ENDPOINTS")
"""Hosts that may be asked for completions though they lie in a private network; `*` allows all."""
ALLOWED_PRIVATE_WEBHOOKS = hosts_of("ALLOWED_PRIVATE_WEBHOOKS")
"""Hosts that may be told of events though they lie in a private network; `*` allows all."""

# Pushing elsewhere ---------------------------------------------------------------------------

PUSH_TARGETS = words("PUSH_TARGETS")
"""Below which folders (fsspec URLs) checkpoints and snapshots may be copied."""
PUSH_HUB_TOKEN = os.environ.get("PUSH_HUB_TOKEN", "")
"""With it engineers push to repositories of a hub, under hf://owner/name."""
PUSH_HUB_URL = os.environ.get("PUSH_HUB_URL", "")
"""The hub; huggingface.co by default."""

# Logs ----------------------------------------------------------------------------------------

LOG_LEVEL = one_of("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))
LOG_FORMAT = one_of("LOG_FORMAT", ("text", "json") if DEBUG or DEMO else ("json", "text"))
LOGGING = logs.configuration(as_json=LOG_FORMAT == "json", level=LOG_LEVEL)

SENTRY_DSN = os.environ.get("SENTRY_DSN", "")
if SENTRY_DSN:
    sentry.start(SENTRY_DSN, VERSION)

# Whoever watches the installation --------------------------------------------------------------

METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")
"""Whoever sends it as a bearer token may read /metrics."""
METRICS_ADDRESSES = networks("METRICS_ADDRESSES")
"""Who connects from these, and not through a proxy, may read /metrics without the token."""
if METRICS_TOKEN and len(METRICS_TOKEN) < SHORTEST_METRICS_TOKEN:
    raise ImproperlyConfigured(
        f"METRICS_TOKEN has {len(METRICS_TOKEN)} characters; it needs at least "
        f"{SHORTEST_METRICS_TOKEN}. Set it to a long random text."
    )
