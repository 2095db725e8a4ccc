"""How far people agree: by kind of work and question, by guideline version, week, tag and person.

All of it is reckoned at once from what was judged, and kept until somebody judges again. Of a
large project that is done in the background, and the report says when it was made: at most one part
in sixty of the time goes into reports that take more than a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from annotations.kept import keep, recall
from annotations.models import (
    Annotation,
    Group,
    Item,
    Project,
    Recall,
    Retraction,
    User,
)
from annotations.selectors.agreement_report import AgreementOverview, Newest, reckoned
from annotations.selectors.members import people_in
from annotations.selectors.sizes import SMALL, is_small

QUICK_SECONDS = 1.0
REST = 60
"""How many times longer a report is shown than it took to make, where it is not quick."""
WANTED = "agreement-wanted"
"""Parts that somebody looked for and that are too large to be reckoned at once."""
MOST_WANTED = 10
BEGUN = "agreement-begun"
LONGEST = timedelta(minutes=15)
"""What was begun longer ago was ended from outside."""


class Part(NamedTuple):
    """Which judgements a report is about: those of a batch, of the people in a group, or all."""

    batch: str | None = None
    group: int | None = None

    @property
    def name(self) -> str:
        return f"agreement:{self.batch or ''}:{self.group or ''}"


class Begun(NamedTuple):
    """What is being reckoned in the background, and since when."""

    part: Part
    at: datetime


def agreement_overview(
    project: Project, batch: str | None = None, group: Group | None = None
) -> AgreementOverview | None:
    """Return how far people agree in a project, in one batch of it, or in one group of them.

    What takes long is reckoned by `keep_agreement`, in the background: until then there is None.
    """
    part = Part(batch, None if group is None else group.pk)
    people = _people_of(group)
    known: AgreementOverview | None = recall(project, part.name)
    if known is not None and known.newest.people != people:
        known = None
    if not _is_small(project, batch):
        _want(project, part)
        return known
    return _fresh(project, part, people, known)


def agreement_begun(
    project: Project, batch: str | None = None, group: Group | None = None
) -> datetime | None:
    """Return since when a report is being reckoned in the background; None if it is not."""
    begun: Begun | None = recall(project, BEGUN)
    if begun is None or begun.part != Part(batch, None if group is None else group.pk):
        return None
    return begun.at if timezone.now() - begun.at < LONGEST else None


def keep_agreement(project: Project) -> None:
    """Keep ready what is too much to be reckoned while somebody waits: all, and wanted parts."""
    groups = {group.pk: group for group in project.groups.all()}
    for part in (Part(), *_wanted(project)):
        is_there = part.batch is None or is_batch(project, part.batch)
        if not is_there or part.group not in (None, *groups) or _is_small(project, part.batch):
            continue
        group = None if part.group is None else groups[part.group]
        _fresh(project, part, _people_of(group), recall(project, part.name), says_so=True)


def _fresh(
    project: Project,
    part: Part,
    people: tuple[int, ...] | None,
    known: AgreementOverview | None,
    *,
    says_so: bool = False,
) -> AgreementOverview:
    newest = newest_judgement(project)._replace(people=people)
    if known is not None and (known.newest == newest or _is_good_for_now(known, newest)):
        return known
    if says_so:
        keep(project, BEGUN, Begun(part, timezone.now()))
    made = reckoned(project, part.batch, newest)
    keep(project, part.name, made)
    if says_so:
        keep(project, BEGUN, None)
    return made


def _people_of(group: Group | None) -> tuple[int, ...] | None:
    people = people_in(group)
    return None if people is None else tuple(sorted(people))


def _wanted(project: Project) -> list[Part]:
    return recall(project, WANTED) or []


def _want(project: Project, part: Part) -> None:
    """Have a part reckoned in the background from now on: the last that were asked for are."""
    wanted = _wanted(project)
    if part != Part() and part not in wanted[-1:]:
        keep(project, WANTED, [*(one for one in wanted if one != part), part][-MOST_WANTED:])


def _is_small(project: Project, batch: str | None) -> bool:
    if batch is None:
        return is_small(project)
    return project.items.filter(batch=batch).values("id")[: SMALL + 1].count() <= SMALL


def is_batch(project: Project, name: str) -> bool:
    """Return whether some items of a project were made as this batch."""
    return bool(name) and project.items.filter(batch=name).exists()


def people_of(overview: AgreementOverview) -> set[int]:
    """Return the ids of everybody whom a report names."""
    ids = {one.person for one in overview.choosers}
    ids |= {one.person for one in overview.doubted}
    return ids | {person for pair in overview.pairs for person in (pair.first, pair.second)}


def names_of(people: Iterable[int]) -> dict[int, str]:
    """Return the names of people by their ids."""
    return {user.pk: str(user) for user in User.objects.filter(pk__in=people)}


def newest_judgement(project: Project) -> Newest:
    """Return what changes whenever somebody judges, corrects, takes back or recalls something."""
    # No joins: the database would begin them with all items of the project.
    of_project = Exists(Item.objects.filter(pk=OuterRef("item_id"), project=project))
    said = Annotation.objects.filter(of_project).order_by("-id")
    taken_back = Exists(Annotation.objects.filter(of_project, pk=OuterRef("pk")))
    recalls = Recall.objects.filter(project=project)
    changes = recalls.aggregate(made=Count("id"), lifted=Count("lifted_at"))
    return Newest(
        annotation=said.values_list("id", flat=True).first() or 0,
        retractions=Retraction.objects.filter(taken_back).count(),
        recalls=changes["made"] + changes["lifted"],
        people=None,
    )


def _is_good_for_now(known: AgreementOverview, newest: Newest) -> bool:
    if (known.newest.recalls, known.newest.people) != (newest.recalls, newest.people):
        return False
    age = (timezone.now() - known.made_at).total_seconds()
    return known.seconds > QUICK_SECONDS and age < REST * known.seconds
