"""The Celery entry points of what the platform does by itself where a project allows it."""

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


@shared_task(name="training.pause_flagged", ignore_result=True, time_limit=300, soft_time_limit=290)
def pause_flagged(**_later: Any) -> None:
    """Pause whom flags are sure about, where a project wants that. Runs every minute."""
    services.pause_flagged()


@shared_task(
    name="training.weigh_questions", ignore_result=True, time_limit=600, soft_time_limit=590
)
def weigh_questions(**_later: Any) -> None:
    """Weigh open items again wherever that is due. Runs every minute."""
    for project_id in selectors.projects_with_checkpoints():
        try:
            services.weigh_questions(project_id)
        except Exception:  # the items of other projects are weighed; the next minute tries again
            logger.exception("The open items of project %s could not be weighed.", project_id)
