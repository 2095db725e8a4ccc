"""The Celery entry point of rounds that go on by themselves."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task

from training import selectors, services

logger = logging.getLogger(__name__)


@shared_task(name="training.drive_rounds", ignore_result=True, time_limit=600, soft_time_limit=590)
def drive_rounds(**_later: Any) -> None:
    """Take the next step of every round that goes on by itself. Runs every 5 seconds."""
    for project_id in selectors.projects_to_drive():
        try:
            services.advance(project_id)
        except Exception:  # the rounds of other projects go on; the next tick tries this one again
            logger.exception("The rounds of project %s could not be driven.", project_id)
