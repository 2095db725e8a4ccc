"""The Celery application. Messages carry ids and are hints; the database is the queue."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init

from labelstudio_llm import logs  # noqa: F401  # it hears what the worker does

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")

app = Celery("labelstudio_llm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Above the services, which it calls as a person does; `tasks` lies below them.
app.autodiscover_tasks(["training"], related_name="driver")

_PR_SET_PDEATHSIG = 1


@beat_embedded_init.connect
def end_with_the_worker(**_: Any) -> None:
    """Ask that the scheduler is ended when its worker is killed.

    Celery leaves it alone then: it would go on for ever, beside that of the next worker.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
