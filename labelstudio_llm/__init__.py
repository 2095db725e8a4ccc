"""The project: settings, addresses and processes. No domain word in here."""

from labelstudio_llm.celery import app as celery_app

__all__ = ["celery_app"]
