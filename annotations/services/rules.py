"""What several services share: the error, the locks, the checks. Not for pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from annotations.algorithms.text import TextError, check_text
from annotations.models import Project

CHUNK = 500
"""Values in one SQL statement."""

MAX_OVERLAP = 100

T = TypeVar("T")


class ServiceError(Exception):
    """What was asked for cannot be done. The text is a sentence for the person who asked."""


def lock(project: Project) -> None:
    """Make the writers of one project's prompts, items and members wait for each other."""
    Project.objects.select_for_update(no_key=True).get(id=project.pk)


def check(value: str, field: str, max_chars: int) -> str:
    try:
        return check_text(value, field=field, max_chars=max_chars)
    except TextError as error:
        raise ServiceError(str(error)) from None


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
