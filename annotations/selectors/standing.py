"""How far the work of a project is: counted now, or of a large one in the background."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, Sum

from annotations.kept import Made, keep_up, recall
from annotations.models import Annotation, Assignment, Item, Kind, Project, counted
from annotations.selectors.gold import FailingGold, failing_gold
from annotations.selectors.queue import LEASED
from annotations.selectors.sizes import is_small

STANDING = "standing"


@dataclass(frozen=True)
class QueueCount:
    """The items of one kind in a project. Places are what overlap asks for, item by item."""

    kind: str
    items: int
    finished: int
    places: int
    open_places: int
    leased: int
    annotations: int

    @property
    def label(self) -> str:
        return Kind(self.kind).label

    @property
    def filled_places(self) -> int:
        return self.places - self.open_places - self.leased


@dataclass(frozen=True)
class Counted:
    """How far the work of each kind is, and since when that is known."""

    counts: dict[str, QueueCount]
    as_of: datetime | None
    """None: they are of this moment."""

    @property
    def has_items(self) -> bool:
        return any(count.items for count in self.counts.values())


@dataclass(frozen=True)
class Doubt:
    """A gold item that nearly everybody fails."""

    item: int
    right: int
    answers: int


@dataclass(frozen=True)
class Stand:
    """How far the work is, counted at one moment."""

    counts: dict[str, QueueCount]
    doubts: tuple[Doubt, ...]


def standing(project: Project) -> Stand | None:
    """Return how far the work is; None where that is not counted yet and would take long."""
    if is_small(project):
        return _counted(project)
    kept: Made[Stand] | None = recall(project, STANDING)
    return kept.value if kept else None


def work_counted(project: Project) -> Counted | None:
    """Return how far the work is without gold items; None where it is still to be counted."""
    if is_small(project):
        return Counted(queue_counts(project), as_of=None)
    kept: Made[Stand] | None = recall(project, STANDING)
    return None if kept is None else Counted(kept.value.counts, as_of=kept.made_at)


def doubted_gold(project: Project) -> list[FailingGold]:
    """Return the gold items that are asked and that nearly everybody fails: fewest right first.

    Of a large project as it was counted last, less those that were retired since.
    """
    if is_small(project):
        return failing_gold(project)
    kept: Made[Stand] | None = recall(project, STANDING)
    doubts = {one.item: one for one in kept.value.doubts} if kept else {}
    items = project.items.select_related("prompt").filter(id__in=doubts, open_slots__gt=0)
    found = [FailingGold(one, doubts[one.pk].right, doubts[one.pk].answers) for one in items]
    return sorted(found, key=lambda one: (one.right / one.answers, one.item.pk))


def keep_standing(project: Project) -> None:
    """Count how far the work of a large project is, unless that was done a while ago only."""
    keep_up(project, STANDING, lambda: _counted(project))


def _counted(project: Project) -> Stand:
    doubts = [Doubt(one.item.pk, one.right, one.answers) for one in failing_gold(project)]
    return Stand(counts=queue_counts(project), doubts=tuple(doubts))


def queue_counts(project: Project) -> dict[str, QueueCount]:
    """Return how far the work of each kind is, gold items and battles apart: they never end."""
    items = {
        row["kind"]: row
        for row in project.items.exclude(purpose__in=Item.ASIDE)
        .values("kind")
        .annotate(
            items=Count("id"),
            places=Sum("overlap"),
            open_places=Sum("open_slots"),
        )
    }
    leased = dict(
        Assignment.objects.filter(LEASED, item__project=project)
        .exclude(item__purpose__in=Item.ASIDE)
        .values_list("item__kind")
        .annotate(Count("id"))
    )
    unfinished = dict(
        project.items.exclude(purpose__in=Item.ASIDE)
        .filter(
            Q(open_slots__gt=0)
            | Exists(Assignment.objects.filter(item=OuterRef("pk"), state=Assignment.State.LEASED))
        )
        .values_list("kind")
        .annotate(Count("id"))
    )
    annotations = dict(
        Annotation.objects.filter(counted("", project.pk), item__project=project)
        .exclude(item__purpose__in=Item.ASIDE)
        .values_list("kind")
        .annotate(Count("id"))
    )
    empty = {"items": 0, "places": 0, "open_places": 0}
    return {
        kind: QueueCount(
            kind=kind,
            items=items.get(kind, empty)["items"],
            finished=items.get(kind, empty)["items"] - unfinished.get(kind, 0),
            places=items.get(kind, empty)["places"],
            open_places=items.get(kind, empty)["open_places"],
            leased=leased.get(kind, 0),
            annotations=annotations.get(kind, 0),
        )
        for kind in Kind.values
    }
