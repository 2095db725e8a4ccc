"""Settings of the platform on a bad day: plain http, quick beats, children that train little."""

from __future__ import annotations

import os

from labelstudio_llm.settings import *  # noqa: F403
from training.tests import scripted

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if os.environ.get("CHAOS_CHILD") == "scripted":
    TRAINING_COMMAND = scripted.command("works")
if os.environ.get("CHAOS_SHORT"):  # tables as they are now, without the way there
    own = ("annotations", "training")
    # Those that ours point at, too: PostgreSQL makes no table before them.
    MIGRATION_MODULES = dict.fromkeys((*own, "auth", "contenttypes", "admin"))
RUN_SILENCE_SECONDS = 10
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3
CELERY_BEAT_SCHEDULE = {
    "send hints again": {"task": "training.dispatch_queued_runs", "schedule": 1.0},
    "take back lost runs": {"task": "training.find_lost_runs", "schedule": 1.0},
}
