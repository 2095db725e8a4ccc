"""The Celery application. Messages carry ids and are hints; the database is the queue."""

from __future__ import annotations

import os
from typing import Any

from billiard.process import current_process
from celery import Celery
from celery.signals import beat_embedded_init, worker_process_init

from labelstudio_llm import logs  # noqa: F401  # it hears what the worker does
from training.pipeline import orphans

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")

app = Celery("labelstudio_llm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Above the services, which it calls as a person does; `tasks` lies below them.
app.autodiscover_tasks(["training"], related_name="driver")


@beat_embedded_init.connect
@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """Ask that the scheduler and those that carry out are ended when their worker is killed.

    Celery leaves them alone then: the scheduler would go on for ever, beside that of the next
    worker, and a run to its end, with nobody who could stop it.
    """
    if parent := current_process()._parent_pid:  # a worker without a pool is nobody's child
        orphans.end_with(parent)
