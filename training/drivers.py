"""What the loop page says of a round that goes on by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training import selectors
from training.next_act import Act, NeedsPerson

if TYPE_CHECKING:
    from annotations.models import Project


@dataclass(frozen=True)
class Driver:
    """Where the loop stands by itself, in words, and which buttons belong to it."""

    goes_on: bool
    """Something here happens without a person, or would if it were decided."""
    is_open: bool
    may_run: bool
    who: str
    text: str
    is_act: bool
    needs_person: bool
    can_retry: bool
    skip: str


def driver_of(project: Project) -> Driver:
    """Return what goes on by itself in the project, and what somebody may do about it."""
    state = selectors.round_state(project)
    found = selectors.whats_next(project)
    return Driver(
        goes_on=bool(state.driver) or (state.is_automatic and not state.is_open),
        is_open=state.is_open,
        may_run=bool(state.policy),
        who=state.driver,
        text=str(found),
        is_act=isinstance(found, Act),
        needs_person=isinstance(found, NeedsPerson),
        can_retry=isinstance(found, NeedsPerson) and found.can_retry,
        skip="" if isinstance(found, Act) else found.skip,
    )
