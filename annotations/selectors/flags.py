"""Who may not be looking at what they judge, and what was decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import get_language, gettext_noop
from django.utils.translation import gettext as _

from annotations.algorithms import adversaries
from annotations.algorithms.adversaries import Signal
from annotations.kept import Made, keep_up, recall
from annotations.models import AutomaticPause, FlagDecision, Membership, Project, User
from annotations.selectors.signs import signs

RAISED = "flags-raised"
TITLES = {
    "one_sided": gettext_noop("Always one side"),
    "random": gettext_noop("Random answers"),
    "too_fast": gettext_noop("Too fast to read"),
    "untyped": gettext_noop("Too fast to write"),
    "clockwork": gettext_noop("Regular as a clock"),
    "length": gettext_noop("Chooses by length"),
    "idle": gettext_noop("Long idle time"),
    "picky": gettext_noop("Skips until it is easy"),
    "copier": gettext_noop("Two who answer alike"),
    "copier_on_gold": gettext_noop("Two with the same wrong answers to gold items"),
}


@dataclass(frozen=True)
class Flag:
    """A sign that stands out, and who it is about."""

    signal: Signal
    title: str
    people: list[User]
    is_paused: bool
    """All of them are paused already."""
    pause: AutomaticPause | None
    """By which the flag itself has paused the person; an owner is to decide."""


def flags(project: Project) -> list[Flag]:
    """Return the signs that stand out and that nobody has dismissed, the surest first.

    Of a large project they are looked for in the background (`looked_at` says when); what was
    decided about them since is not among them.
    """
    kept: Made[list[Signal]] | None = recall(project, RAISED)
    return flags_now(project) if kept is None else _open(project, kept.value)


def flags_now(project: Project) -> list[Flag]:
    """Return what `flags` does, looked for at this moment."""
    return _open(project, _raised(project))


def looked_at(project: Project) -> datetime | None:
    """Return when the flags of a large project were looked for; None: they are of this moment."""
    kept: Made[list[Signal]] | None = recall(project, RAISED)
    return kept.made_at if kept else None


def keep_flags(project: Project) -> None:
    """Look for flags in a large project, unless that was done a while ago only."""
    keep_up(project, RAISED, lambda: _raised(project))


def _raised(project: Project) -> list[Signal]:
    """Return every sign that stands out."""
    people, pairs = signs(project)
    return [*adversaries.flags(people), *adversaries.flags(pairs, adversaries.PAIR_RATE)]


def _open(project: Project, found: Sequence[Signal]) -> list[Flag]:
    dismissed = _dismissed(project)
    open_ones = [one for one in found if one.n >= 2 * dismissed.get((one.detector, one.people), 0)]
    named = User.objects.in_bulk({who for one in open_ones for who in one.people})
    pauses = {one.person_id: one for one in open_pauses(project)}
    paused = set(
        Membership.objects.filter(
            project=project, state=Membership.State.PAUSED, user__in=named
        ).values_list("user_id", flat=True)
    )
    return [
        Flag(
            signal=one,
            title=TITLES[one.detector],
            people=[named[who] for who in one.people],
            is_paused=paused.issuperset(one.people),
            pause=pauses.get(one.people[0]) if len(one.people) == 1 else None,
        )
        for one in open_ones
    ]


def open_pauses(project: Project) -> QuerySet[AutomaticPause]:
    """Return whom a flag has paused and nobody has decided about, the newest first."""
    return project.automatic_pauses.filter(ended_at=None).select_related("person")


def told_why(pause: AutomaticPause) -> str:
    """Return the reason of a pause as the person reads it, who must not learn about gold items.

    What it was seen by is kept in English: who reads another language is told the sign alone.
    """
    if pause.detector == "random":
        return _("Your answers agree with those of others no more than chance would.")
    title = _(TITLES.get(pause.detector, pause.detector))
    is_english = get_language() in (None, settings.LANGUAGE_CODE)
    return f"{title}. {pause.evidence}" if is_english else f"{title}."


def flag_decisions(project: Project) -> list[tuple[str, FlagDecision]]:
    """Return what was decided about flags, newest first, each with its title."""
    found = project.flag_decisions.select_related("person", "other", "decided_by")[:100]
    return [(TITLES.get(one.detector, one.detector), one) for one in found]


def _dismissed(project: Project) -> dict[tuple[str, tuple[int, ...]], int]:
    """Return the most answers on which each flag was dismissed."""
    found: dict[tuple[str, tuple[int, ...]], int] = {}
    rows = project.flag_decisions.filter(verdict=FlagDecision.Verdict.DISMISSED)
    for detector, person, other, n in rows.values_list("detector", "person", "other", "n"):
        key = detector, tuple(sorted(who for who in (person, other) if who is not None))
        found[key] = max(found.get(key, 0), n)
    return found
