"""Figures that are kept, because to reckon them again takes seconds. None is needed.

Without its cache a page is slow and right: whatever is wrong with what was kept (a disk that is
full, a file of another version), it is as if nothing had been kept.
"""

from __future__ import annotations

import logging
import pickle
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.core.cache import cache
from django.utils import timezone

if TYPE_CHECKING:
    from annotations.models import Project

logger = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT = 5
"""Raised when what is kept changes its meaning or its fields."""
REST = 60
"""How many times longer something is shown than it took to make, and half a minute at least."""
LEAST_REST_S = 25
UNREADABLE = (OSError, EOFError, ImportError, AttributeError, pickle.UnpicklingError, zlib.error)


def recall(project: Project, what: str) -> Any:
    """Return what was kept of a project, or None."""
    try:
        return cache.get(_key(project, what))
    except UNREADABLE as error:
        logger.warning("What was kept of project %s can't be read: %s", project.pk, error)
        return None


def is_kept(project: Project, what: str) -> bool:
    """Return whether something is kept, without reading it."""
    try:
        return _key(project, what) in cache
    except UNREADABLE:  # `recall` says what is wrong with it
        return False


def keep(project: Project, what: str, value: Any) -> None:
    """Keep something for a week, if there is room."""
    try:
        cache.set(_key(project, what), value)
    except OSError as error:
        logger.warning("Nothing could be kept of project %s: %s", project.pk, error)


@dataclass(frozen=True)
class Made(Generic[T]):
    """What was reckoned of a project, and when."""

    value: T
    made_at: datetime
    seconds: float
    """That it took."""


def keep_up(project: Project, what: str, make: Callable[[], T]) -> None:
    """Make something anew and keep it, unless that was done a while ago only."""
    kept: Made[T] | None = recall(project, what)
    if kept is not None:
        age = (timezone.now() - kept.made_at).total_seconds()
        if age < max(LEAST_REST_S, REST * kept.seconds):
            return
    started, made_at = time.monotonic(), timezone.now()
    value = make()
    keep(project, what, Made(value, made_at, time.monotonic() - started))


def _key(project: Project, what: str) -> str:
    """Return the name that something is kept under.

    The time tells a project from one that had its number in another database.
    """
    return f"{what}:{FORMAT}:{project.pk}:{project.created_at.timestamp()}"
