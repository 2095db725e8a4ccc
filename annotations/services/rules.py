"""What several services share: the error, the locks, the checks. Not for pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from annotations.algorithms.text import TextError, check_text
from annotations.models import Kind, Project, User
from annotations.selectors.members import has_another_owner
from annotations.selectors.qualification import closed_kinds

CHUNK = 500
"""Values in one SQL statement."""

MAX_OVERLAP = 100

T = TypeVar("T")


class ServiceError(Exception):
    """What was asked for cannot be done. The text is a sentence for the person who asked."""


def lock(project: Project) -> None:
    """Make the writers of one project's prompts, items and members wait for each other."""
    Project.objects.select_for_update(no_key=True).get(id=project.pk)


def expect_open(kind: Kind, user: User, project: Project) -> None:
    """Refuse work that the queue would not hand a person: what they begin of their own is work."""
    for closed in closed_kinds(user, project):
        if closed.kind != kind:
            continue
        if closed.withdrawn:
            raise ServiceError(
                _("“%(kind)s” is not open to you: %(reason)s")
                % {"kind": _(kind.label), "reason": closed.withdrawn}
            )
        if closed.needs_test:
            raise ServiceError(
                _("“%(kind)s” is for those who passed its test. Take it first.")
                % {"kind": _(kind.label)}
            )
        raise ServiceError(
            _("“%(kind)s” is kept for a group that you are not in.") % {"kind": _(kind.label)}
        )


def leave_to_another(owner: User, project: Project, about: Collection[User], words: str) -> None:
    """Refuse what an owner decides about themselves, where another owner could.

    The only owner decides: nobody else can, and what is decided says by whom.
    """
    if owner in about and has_another_owner(project, owner):
        raise ServiceError(_("%(words)s Leave it to another owner.") % {"words": words})


def check(value: str, field: str, max_chars: int) -> str:
    """Return a text that can be kept as it is. `field` is what it is called, marked to translate.

    Whose language is not English reads the refusal in theirs.
    """
    try:
        return check_text(value, field=field, max_chars=max_chars)
    except TextError as error:
        raise ServiceError(refusal_of(error)) from None


def refusal_of(error: TextError) -> str:
    """Return why a text can't be kept, in the language of whoever sent it."""
    told = {
        name: number_format(value, force_grouping=True) if isinstance(value, int) else value
        for name, value in error.values.items()
    }
    if "field" in told:
        told["field"] = _(told["field"])
    return _(error.words) % told


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
