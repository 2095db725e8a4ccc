"""What people said that is behind a checkpoint, and what an annotation went into.

A checkpoint learns from the snapshot of its run, from what its ancestors learnt from, and from what
the reward model learnt from that its run was scored by. All checkpoints of a project are read at
once and followed in memory, so the number of queries does not grow with the lineage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict, overload

from django.db.models import Count, QuerySet

from annotations import exports
from training.models import Checkpoint, DatasetSnapshot, SnapshotAnnotation

if TYPE_CHECKING:
    from annotations.models import Item, Project

CHUNK = 2000
FIELDS = (
    "annotation_id",
    "annotation__kind",
    "annotation__annotator_id",
    "annotation__guideline_version__version",
    "annotation__created_at",
    "annotation__retraction",
    "annotation__superseded_by",
    "annotation__item_id",
    "annotation__item__prompt_id",
    "annotation__item__prompt__text",
)

LONG = ("run__log_tail", "run__samples", "run__error_detail")
"""What runs may have much of, and nobody asks for here."""


class Way(StrEnum):
    """How what is in a snapshot came into a checkpoint."""

    OWN = "its own run"
    ANCESTOR = "an ancestor"
    REWARD = "the reward model"
    ZERO = "the reward model's zero"


@dataclass(frozen=True)
class Source:
    """A snapshot behind a checkpoint, and which checkpoint learnt from it."""

    snapshot: DatasetSnapshot
    learner: Checkpoint
    way: Way


class SourceRow(TypedDict):
    """An annotation behind a checkpoint, as a page or a file has it."""

    annotation_id: int
    kind: str
    annotator: str
    guideline_version: int | None
    created_at: str
    since: str
    item_id: int
    prompt_id: int
    prompt: str
    snapshot: int
    snapshot_sha256: str
    learner: str
    way: str


@dataclass(frozen=True)
class Uses:
    """What an annotation went into."""

    snapshot: DatasetSnapshot
    learners: list[Checkpoint]
    """What a run on the snapshot made."""
    heirs: list[Checkpoint]
    """What stems from those, or was scored by one of them."""


class Family:
    """All checkpoints of a project and the snapshots that they learnt from, in memory."""

    def __init__(self, project: Project) -> None:
        checkpoints = project.checkpoints.select_related("run").order_by("id").defer(*LONG)
        self.checkpoints = {one.pk: one for one in checkpoints}
        frozen = project.snapshots.defer("annotation_ids")
        self.snapshots = {one.pk: one for one in frozen}

    def sources(self, checkpoint: Checkpoint) -> list[Source]:
        """Return the snapshots behind a checkpoint, each once, by its nearest way in."""
        found: dict[int, Source] = {}
        for source in self._walk(checkpoint.pk, Way.OWN, set()):
            found.setdefault(source.snapshot.pk, source)
        return list(found.values())

    def _walk(self, checkpoint_id: int | None, way: Way, seen: set[int]) -> Iterator[Source]:
        scorers = []
        while (one := self.checkpoints.get(checkpoint_id or 0)) and one.pk not in seen:
            seen.add(one.pk)
            if one.run is not None:
                yield from self._source(one.run.snapshot_id, one, way)
                zero = one.manifest.get("provenance", {}).get("demonstrations_snapshot")
                yield from self._source(zero, one, Way.ZERO)
                scorers.append(one.run.reward_checkpoint_id)
            checkpoint_id, way = one.parent_id, Way.ANCESTOR if way == Way.OWN else way
        for scorer in scorers:
            yield from self._walk(scorer, Way.REWARD, seen)

    def _source(self, snapshot_id: int | None, learner: Checkpoint, way: Way) -> Iterator[Source]:
        if snapshot := self.snapshots.get(snapshot_id or 0):
            yield Source(snapshot, learner, way)

    def learners(self, snapshot_id: int) -> tuple[list[Checkpoint], list[Checkpoint]]:
        """Return the checkpoints that learnt from a snapshot: themselves, and through others."""
        direct: list[Checkpoint] = []
        through: list[Checkpoint] = []
        for checkpoint in self.checkpoints.values():
            if any(source.snapshot.pk == snapshot_id for source in self.sources(checkpoint)):
                of_run = checkpoint.run is not None and checkpoint.run.snapshot_id == snapshot_id
                (direct if of_run else through).append(checkpoint)
        return direct, through


def sources(checkpoint: Checkpoint) -> list[Source]:
    """Return the snapshots behind a checkpoint, the nearest first."""
    return Family(checkpoint.project).sources(checkpoint)


class Behind(Sequence[SourceRow]):
    """The annotations of some sources, one source after the other; in two snapshots, one is twice.

    A slice reads no more than it shows, however many there are.
    """

    def __init__(self, found: list[Source]) -> None:
        self.found = found
        links = SnapshotAnnotation.objects.filter(snapshot__in=[one.snapshot.pk for one in found])
        counted = links.values_list("snapshot_id").annotate(count=Count("id")).order_by()
        self.counts: dict[int, int] = dict(counted)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __iter__(self) -> Iterator[SourceRow]:
        for one in self.found:
            yield from _rows(one, _links(one).iterator(chunk_size=CHUNK))

    @overload
    def __getitem__(self, place: int) -> SourceRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[SourceRow]: ...
    def __getitem__(self, place: int | slice) -> SourceRow | list[SourceRow]:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _step = place.indices(len(self))
        rows: list[SourceRow] = []
        before = 0
        for one in self.found:
            first, last = max(0, start - before), stop - before
            before += (size := self.counts.get(one.snapshot.pk, 0))
            if first < min(last, size):
                rows += _rows(one, _links(one)[first:last])
        return rows


def _links(source: Source) -> QuerySet[SnapshotAnnotation, tuple[Any, ...]]:
    links = SnapshotAnnotation.objects.filter(snapshot=source.snapshot.pk)
    return links.order_by("annotation_id").values_list(*FIELDS)


def _rows(source: Source, links: Iterable[tuple[Any, ...]]) -> Iterator[SourceRow]:
    for row in links:
        yield {
            "annotation_id": row[0],
            "kind": row[1],
            "annotator": exports.pseudonym(row[2]),
            "guideline_version": row[3],
            "created_at": row[4].isoformat(),
            "since": "taken back" if row[5] else "corrected" if row[6] else "",
            "item_id": row[7],
            "prompt_id": row[8],
            "prompt": row[9],
            "snapshot": source.snapshot.pk,
            "snapshot_sha256": source.snapshot.sha256,
            "learner": source.learner.name,
            "way": source.way.value,
        }


def uses_of_item(item: Item) -> dict[int, list[Uses]]:
    """Return what each annotation of an item went into, by annotation."""
    links = SnapshotAnnotation.objects.filter(annotation__item=item).order_by("snapshot_id")
    pairs = list(links.values_list("annotation_id", "snapshot_id"))
    if not pairs:
        return {}
    family = Family(item.project)
    found: dict[int, list[Uses]] = {}
    for annotation_id, snapshot_id in pairs:
        uses = Uses(family.snapshots[snapshot_id], *family.learners(snapshot_id))
        found.setdefault(annotation_id, []).append(uses)
    return found
