"""The Celery entry points of what the platform does by itself where a project allows it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from celery import shared_task

from training import selectors, services

logger = logging.getLogger(__name__)


@shared_task(name="training.drive_rounds", ignore_result=True, time_limit=600, soft_time_limit=590)
def drive_rounds(**_later: Any) -> None:
    """Take the next step of every round that goes on by itself. Runs every 5 seconds."""
    _for_each(selectors.projects_to_drive(), services.advance, "Rounds were not driven")


@shared_task(name="training.pause_flagged", ignore_result=True, time_limit=300, soft_time_limit=290)
def pause_flagged(**_later: Any) -> None:
    """Pause whom flags are sure about, where a project wants that. Runs every minute."""
    services.pause_flagged()


@shared_task(
    name="training.weigh_questions", ignore_result=True, time_limit=600, soft_time_limit=590
)
def weigh_questions(**_later: Any) -> None:
    """Weigh open items again wherever that is due. Runs every minute."""
    projects = selectors.projects_with_checkpoints()
    _for_each(projects, services.weigh_questions, "Open items were not weighed")


@shared_task(name="training.score_cases", ignore_result=True, time_limit=120, soft_time_limit=110)
def score_cases(**_later: Any) -> None:
    """Let reward models score the cases that they were not asked about. Runs every minute."""
    projects = selectors.projects_with_checkpoints()
    _for_each(projects, services.score_cases, "Cases were not scored")


def _for_each(projects: Iterable[int], act: Callable[[int], Any], failed: str) -> None:
    for project_id in projects:
        try:
            act(project_id)
        except Exception:  # the other projects go on; the next time tries this one again
            logger.exception("%s in project %s.", failed, project_id)
