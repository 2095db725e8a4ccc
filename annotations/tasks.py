"""Celery entry points of collecting. A message is only a hint: delivered twice it does no harm,
and lost it is sent again, or what it asked for is done by the next."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task

from annotations import hints, services
from annotations.services import imports

logger = logging.getLogger(__name__)

SLICE_S = 5.0
"""An import gives the worker back so often: others wait for it, too."""


@shared_task(
    name="annotations.keep_up_daily_figures",
    ignore_result=True,
    time_limit=900,
    soft_time_limit=890,
)
def keep_up_daily_figures(**_later: Any) -> None:
    """Reckon the days that new annotations and payments have changed. Runs every 30 seconds."""
    services.keep_up_daily_figures()
    services.keep_up_counts()


@shared_task(
    name="annotations.keep_up_agreement", ignore_result=True, time_limit=900, soft_time_limit=890
)
def keep_up_agreement(**_later: Any) -> None:
    """Reckon how far people agree in large projects, where that has changed. Every minute."""
    services.keep_up_agreement()


@shared_task(
    name="annotations.continue_import", ignore_result=True, time_limit=900, soft_time_limit=890
)
def continue_import(import_id: int, **_later: Any) -> None:
    """Go on with an import for a while. Delivering the message twice is harmless.

    The first time it takes as long as the file takes to come here, where it lies elsewhere.
    """
    if imports.continue_import(import_id, seconds=SLICE_S):
        hint_import(import_id=import_id)


@shared_task(
    name="annotations.continue_imports", ignore_result=True, time_limit=60, soft_time_limit=50
)
def continue_imports(**_later: Any) -> None:
    """Send a hint again for each import that waits. Every 10 seconds."""
    for import_id in imports.waiting_imports():
        hint_import(import_id=import_id)


@shared_task(
    name="annotations.analyse_what_grew", ignore_result=True, time_limit=300, soft_time_limit=290
)
def analyse_what_grew(**_later: Any) -> None:
    """Tell PostgreSQL of tables into which many rows came. Every 10 seconds."""
    services.analyse_what_grew()


@shared_task(
    name="annotations.forget_imports", ignore_result=True, time_limit=120, soft_time_limit=110
)
def forget_imports(**_later: Any) -> None:
    """Remove the files of imports that nobody goes on with. Every 10 minutes."""
    imports.forget_imports()


def hint_import(*, import_id: int, **_signal: Any) -> None:
    """Tell a worker that an import waits. Where that can't be sent the beat does it later."""
    try:
        hints.send(continue_import, (import_id,))
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent; import %s waits (%s).", import_id, error)
