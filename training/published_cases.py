"""What is done with the cases of guidelines when they are published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from annotations import exports
from training import selectors, services

if TYPE_CHECKING:
    from annotations.models import GuidelineVersion

logger = logging.getLogger(__name__)


def replay(version: GuidelineVersion, **_signal: Any) -> None:
    """Let the newest reward model score the cases of a version that it has not scored.

    Where there is none, or all have their scores, there is nothing to do, and the page says so.
    """
    model = selectors.newest_reward_model(version.project)
    if model is None:
        return
    try:
        services.start_replay(
            version.project,
            exports.cases_of_version(version),
            model,
            started_by=version.created_by,
        )
    except services.ServiceError as error:
        logger.info("No replay of %s: %s", version, error)
