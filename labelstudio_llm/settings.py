"""Settings, read from the environment here and nowhere else.

What is wrong is refused at the start, with a sentence that says what to do: `environment` reads
and refuses. Every variable is listed in docs/operations.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from labelstudio_llm import logs, sentry
from labelstudio_llm.environment import (
    allowed_hosts,
    artifacts_place,
    check_bind,
    database,
    embedded_or_named_broker,
    flag,
    former_secret_keys,
    hosts_of,
    metrics_token,
    networks,
    number,
    one_of,
    own_folder,
    secret_key,
    trusted_origins,
    words,
)
from labelstudio_llm.version import VERSION
from training import broker_url

BASE_DIR = Path(__file__).resolve().parent.parent

# The platform ------------------------------------------------------------------------------

DEBUG = flag("DEBUG")
DEMO = flag("DEMO")
"""A demonstration on this machine: its people sign in with one click, over plain http."""

opened_by = "DEBUG" if DEBUG else "DEMO" if DEMO else ""
check_bind(opened_by)

VAR_DIR = own_folder(BASE_DIR / "var")
"""Where everything lies that this installation writes."""
FILE_UPLOAD_TEMP_DIR = VAR_DIR / "incoming"

ARTIFACTS_ROOT, ARTIFACTS_REMOTE = artifacts_place(VAR_DIR)
BASE_MODEL_PATH = Path(
    os.environ.get("BASE_MODEL_PATH") or VAR_DIR / "models" / "smollm2-135m-instruct"
).resolve()

# Models are files beside BASE_MODEL_PATH and in ARTIFACTS_ROOT; no run asks a hub for anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
HAS_MODEL_HUB = not flag("HF_HUB_OFFLINE")
"""Whether engineers may have base models fetched, from HF_ENDPOINT with HF_TOKEN."""

# Django ------------------------------------------------------------------------------------

SECRET_KEY = secret_key(VAR_DIR, opened_by)
SECRET_KEY_FALLBACKS = former_secret_keys()
ALLOWED_HOSTS = allowed_hosts(opened_by)
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
    # Before all that may answer: redirects, refused hosts, probes and files have the policy, too.
    "csp.middleware.CSPMiddleware",
    "labelstudio_llm.middleware.believe_proxy",
    "labelstudio_llm.requests.number_requests",
    # Before the redirect to https and the check of the host: who probes asks by an address.
    "labelstudio_llm.probes.answer_probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
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

DATABASES = {"default": database(VAR_DIR)}
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
        "LOCATION": broker_url.address(redis_url),
        "KEY_PREFIX": "labelstudio-llm-kept",
        "TIMEOUT": KEPT_FOR,
        "OPTIONS": {
            "serializer": "labelstudio_llm.shared_cache.SignedPickles",
            "socket_timeout": 5,
            "socket_connect_timeout": 1,
        },
    }
# Parts of pages that are the same for everybody who has the same language and keys: each process
# draws them once.
CACHES["fragments"] = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "LOCATION": "fragments",
    "TIMEOUT": None,
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
CELERY_BROKER_URL = embedded_or_named_broker(BROKER_DIR)
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
    "analyse tables that grew": {
        "task": "annotations.analyse_what_grew",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "score new cases": {
        "task": "training.score_cases",
        "schedule": 60.0,
        "options": {"expires": 60.0},
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

METRICS_TOKEN = metrics_token()
"""Whoever sends it as a bearer token may read /metrics."""
METRICS_ADDRESSES = networks("METRICS_ADDRESSES")
"""Who connects from these, and not through a proxy, may read /metrics without the token."""
