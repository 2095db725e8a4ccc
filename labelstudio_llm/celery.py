"""The Celery application. Messages carry ids and are hints; the database is the queue."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")

app = Celery("labelstudio_llm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
