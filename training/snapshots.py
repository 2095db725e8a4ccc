"""Freeze what people said into immutable rows: a JSONL file, its manifest and its hash.

The same annotations, filters and seed give the same bytes. The file is written aside, synced and
renamed, so that a snapshot lies whole in its folder or not at all.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction

from annotations import exports
from annotations.algorithms.personal_data import personal_data
from training import artifacts, outbox, store
from training.aggregation import WAYS, Aggregated, aggregated
from training.models import DatasetSnapshot, SnapshotAnnotation, Webhook

if TYPE_CHECKING:
    from annotations.models import Project, User

Content = DatasetSnapshot.Content
Row = Mapping[str, Any]

SPLITS = ("train", "validation", "test")
LINKS_AT_ONCE = 5000
BARE = {"split", "prompt_id", "prompt"}
"""What a row has that is a prompt and nothing more."""
PARTS = ("prompt", "completion", "chosen", "rejected")
"""What texts a row may have, each a list of messages."""
TEXTS = ("demonstration", "rewrite", "assembly")
JUDGED = ("comparison", "ranking", "rewrite", "conversation")
KINDS_BEHIND = {
    Content.DEMONSTRATIONS: TEXTS,
    Content.PREFERENCES: JUDGED,
    Content.JUDGEMENTS: JUDGED,
    Content.PROMPTS: TEXTS,
}
"""Kinds of work that rows of each content come from."""
FILTERS = {
    "limit": "most rows of each split, drawn by the seed",
    "no_personal_data": "true to leave out rows that seem to tell who somebody is",
    "leave_out_annotators": "pseudonyms whose annotations stay out",
    "ties": "true to keep ties as rows of their own (of preferences)",
    "votes": "majority or weighted, to put the votes on a training pair together (of preferences)",
}
BY_PEOPLE, PERSONAL = LEFT_OUT_BY_CHOICE = ("annotators left out", "with personal data")
WHAT_TO_COLLECT = {
    Content.DEMONSTRATIONS: "no demonstrations yet. Let people write some first",
    Content.PREFERENCES: (
        "no preference pairs yet. Let people compare or rank completions first; ties give no "
        "pairs, and neither does a majority where votes are split"
    ),
    Content.JUDGEMENTS: (
        "no judged completions yet. Let people compare, rank or rewrite completions first; ties "
        "say neither good nor bad"
    ),
    Content.PROMPTS: "no prompts yet. Add prompts first",
}


class SnapshotError(Exception):
    """There is nothing to freeze, or the filters make no sense; the message says what to do."""


@dataclass(frozen=True)
class Frozen:
    """The rows of a snapshot before it has a name: their bytes and what was counted."""

    text: str
    counts: dict[str, Any]
    annotation_ids: list[int]

    @property
    def sha256(self) -> str:
        """Return the hash of the file's bytes."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def freeze(
    project: Project, content: str, *, created_by: User, seed: int, filters: dict[str, Any]
) -> DatasetSnapshot:
    """Write the rows of the project's annotations of one kind as a snapshot."""
    frozen = collect(project.pk, content, seed=seed, filters=filters)
    aside = artifacts.project_folder(project.pk) / "snapshots" / f"tmp-{uuid.uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        with transaction.atomic():
            snapshot = DatasetSnapshot.objects.create(
                project=project,
                content=content,
                filters=filters,
                seed=seed,
                counts=frozen.counts,
                annotation_ids=frozen.annotation_ids,
                sha256=frozen.sha256,
                created_by=created_by,
            )
            _link(snapshot, frozen.annotation_ids)
            _publish(snapshot, frozen, aside)
            told = {"snapshot_id": snapshot.pk, "content": content, "sha256": snapshot.sha256}
            outbox.note(project.pk, Webhook.Kind.SNAPSHOT_FROZEN, snapshot.pk, **told)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return snapshot


def collect(project_id: int, content: str, *, seed: int, filters: dict[str, Any]) -> Frozen:
    """Return the rows that a snapshot would hold now, and their counts."""
    _check(filters, content)
    rows = sorted(_rows(project_id, content, with_ties=filters.get("ties", False)), key=_order)
    left_out: dict[str, int] = {}
    if names := set(filters.get("leave_out_annotators", [])):
        kept = [row for row in rows if row.get("annotator") not in names]
        left_out[BY_PEOPLE] = len(rows) - len(kept)
        rows = kept
    if filters.get("no_personal_data"):
        kept = [row for row in rows if not _tells_of_somebody(row)]
        left_out[PERSONAL] = len(rows) - len(kept)
        rows = kept
    if limit := filters.get("limit"):
        kept = _draw(rows, limit, seed)
        left_out["above the limit"] = len(rows) - len(kept)
        rows = kept
    left_out |= _left_out_by_owners(project_id, content)
    together = _put_together(project_id, rows, filters)
    rows = together.rows
    left_out |= _left_out_by_reviews(project_id, content)
    left_out |= _left_out_of_rankings(project_id, content)
    if all(row.get("tie") for row in rows):
        if chosen := sum(left_out.get(name, 0) for name in LEFT_OUT_BY_CHOICE):
            raise SnapshotError(
                f"Nothing is left to freeze: {chosen} rows were left out as the form asks. Leave "
                "fewer people out, or keep what has personal data."
            )
        raise SnapshotError(f"There are {WHAT_TO_COLLECT[Content(content)]}.")
    report = {"votes": together.report} if together.report else {}
    behind = {number for row in rows for number in _annotations_of(row)}
    return Frozen(
        text="".join(map(artifacts.to_line, rows)),
        counts={
            **_counts(rows),
            **_undecided(project_id, content),
            **report,
            "left_out": left_out,
        },
        annotation_ids=sorted(behind | together.annotation_ids),
    )


def _put_together(project_id: int, rows: list[Row], filters: dict[str, Any]) -> Aggregated:
    """Return the rows with the votes on each training pair put together, if that is wanted."""
    if not (way := filters.get("votes")):
        return Aggregated(rows, {}, set())
    names = set(filters.get("leave_out_annotators", []))
    ties = (tie for tie in exports.ties(project_id) if tie["annotator"] not in names)
    return aggregated(rows, ties, exports.left_completions(project_id), way)


def _rows(project_id: int, content: str, *, with_ties: bool) -> Iterable[Row]:
    match content:
        case Content.DEMONSTRATIONS:
            return exports.demonstrations(project_id)
        case Content.PREFERENCES:
            ties = exports.ties(project_id) if with_ties else ()
            return chain(exports.preferences(project_id), ties)
        case Content.JUDGEMENTS:
            return exports.judgements(project_id)
        case Content.PROMPTS:  # with what people wrote for them, for PPO to mix in
            return chain(exports.prompts(project_id), exports.demonstrations(project_id))
    raise SnapshotError(f"Unknown content {content!r}; known: {', '.join(Content.values)}.")


def _check(filters: dict[str, Any], content: str) -> None:
    if unknown := sorted(set(filters) - set(FILTERS)):
        raise SnapshotError(f"Unknown filter {', '.join(unknown)}; known: {', '.join(FILTERS)}.")
    limit = filters.get("limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SnapshotError(f"limit is {limit!r}; choose a whole number from 1, or none.")
    names = filters.get("leave_out_annotators", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SnapshotError("leave_out_annotators must be a list of names like annotator-7.")
    if not isinstance(filters.get("no_personal_data", False), bool):
        raise SnapshotError("no_personal_data is true, or left out.")
    ties = filters.get("ties", False)
    if not isinstance(ties, bool) or (ties and content != Content.PREFERENCES):
        raise SnapshotError("Only preferences have ties to keep; choose them, or leave ties out.")
    way = filters.get("votes")
    if way is not None and (way not in WAYS or content != Content.PREFERENCES):
        raise SnapshotError(
            f"votes is {way!r}; of preferences choose {' or '.join(WAYS)}, or leave it out to keep "
            "each vote as it is."
        )


def _tells_of_somebody(row: Row) -> bool:
    """Return whether a text of a row seems to hold personal data."""
    messages = chain.from_iterable(row.get(part, ()) for part in PARTS)
    return any(personal_data(message["content"]) for message in messages)


def _order(row: Row) -> tuple[Any, ...]:
    """Return a key that puts rows in one order, whatever order the database gave them in."""
    return (row["prompt_id"], row.get("annotation_id", 0), artifacts.to_line(row))


def _draw(rows: list[Row], limit: int, seed: int) -> list[Row]:
    """Return at most `limit` rows of each split, in their order.

    Among prompts, the demonstrations that stand beside them are drawn apart.
    """
    chosen: set[int] = set()
    bare = {number for number, row in enumerate(rows) if row.keys() == BARE}
    for split in SPLITS:
        of_split = [number for number, row in enumerate(rows) if row["split"] == split]
        # a generator for each: more rows of one must not change the draw of another
        for numbers in ([n for n in of_split if n in bare], [n for n in of_split if n not in bare]):
            draw = random.Random(f"{seed} {split}")
            chosen.update(draw.sample(numbers, min(limit, len(numbers))))
    return [row for number, row in enumerate(rows) if number in chosen]


def _counts(rows: list[Row]) -> dict[str, Any]:
    """Return what a page tells about the rows; ties that were kept are counted apart."""
    tie_rows = sum(bool(row.get("tie")) for row in rows)
    kept = {"tie_rows": tie_rows} if tie_rows else {}
    rows = [row for row in rows if not row.get("tie")]
    of_split = Counter(row["split"] for row in rows)
    prompts = {(row["split"], row["prompt_id"]) for row in rows}
    prompts_of_split = Counter(split for split, _ in prompts)
    return {
        "rows": {split: of_split[split] for split in SPLITS},
        "prompts": {split: prompts_of_split[split] for split in SPLITS},
        **_good(rows),
        "annotations": len({row["annotation_id"] for row in rows if "annotation_id" in row}),
        "annotators": len({row["annotator"] for row in rows if "annotator" in row}),
        **kept,
    }


def _good(rows: list[Row]) -> dict[str, Any]:
    """Return how many rows of each split were judged good, where rows are judged."""
    if "label" not in rows[0]:
        return {}
    good = Counter(row["split"] for row in rows if row["label"])
    return {"good": {split: good[split] for split in SPLITS}}


def _undecided(project_id: int, content: str) -> dict[str, int]:
    """Return how many judgements gave no row because nothing was better."""
    match content:
        case Content.PREFERENCES:
            counts = exports.preference_counts(project_id)
            return {"ties": counts.ties + counts.ranking_ties, "both_bad": counts.both_bad}
        case Content.JUDGEMENTS:  # two that are both bad are two rows
            return {"ties": exports.preference_counts(project_id).ties, "both_bad": 0}
    return {"ties": 0, "both_bad": 0}


def _left_out_by_owners(project_id: int, content: str) -> dict[str, int]:
    """Return how many annotations would be behind such rows, had owners not taken them out."""
    kinds = KINDS_BEHIND[Content(content)]
    reasons = {
        "recalled annotations": exports.count_recalled(project_id, kinds),
        "annotations by people held out": exports.count_held_out(project_id, kinds),
    }
    return {reason: count for reason, count in reasons.items() if count}


def _left_out_by_reviews(project_id: int, content: str) -> dict[str, int]:
    """Return how many texts are not in the rows because of what a reviewer said about them."""
    match content:
        case Content.DEMONSTRATIONS | Content.PROMPTS:
            counts = exports.review_counts(project_id)
        case Content.PREFERENCES | Content.JUDGEMENTS:
            counts = exports.review_counts(project_id, ["rewrite"])
        case _:
            return {}
    reasons = {"rejected in review": counts.rejected, "replaced by a reviewer": counts.fixed}
    return {reason: count for reason, count in reasons.items() if count}


def _left_out_of_rankings(project_id: int, content: str) -> dict[str, int]:
    """Return how many ranked completions nobody called good or bad."""
    if content != Content.JUDGEMENTS:
        return {}
    between = exports.preference_counts(project_id).ranked_between
    return {"ranked neither first nor last": between} if between else {}


def _annotations_of(row: Row) -> Iterator[int]:
    """Yield the annotations behind a row: of a fixed text, what was fixed as well."""
    for name in ("annotation_id", "fixes"):
        if (number := row.get(name)) is not None:
            yield number


def _link(snapshot: DatasetSnapshot, annotation_ids: list[int]) -> None:
    """Write down which annotations are in it, for those who ask by annotation."""
    links = (SnapshotAnnotation(snapshot=snapshot, annotation_id=one) for one in annotation_ids)
    while batch := list(islice(links, LINKS_AT_ONCE)):
        SnapshotAnnotation.objects.bulk_create(batch)


def _publish(snapshot: DatasetSnapshot, frozen: Frozen, aside: Path) -> None:
    manifest = {
        "snapshot": snapshot.pk,
        "project": snapshot.project_id,
        "content": snapshot.content,
        "filters": snapshot.filters,
        "seed": snapshot.seed,
        "counts": snapshot.counts,
        "sha256": snapshot.sha256,
    }
    artifacts.write_synced(aside / "rows.jsonl", frozen.text)
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True)
    artifacts.write_synced(aside / "manifest.json", text)
    artifacts.sync_folder(aside)
    target = artifacts.snapshot_folder(snapshot)
    shutil.rmtree(target, ignore_errors=True)  # left by a freeze whose transaction failed
    aside.rename(target)
    artifacts.sync_folder(target.parent)
    store.keep(target)


def rows_from(
    snapshot: DatasetSnapshot, start: int, count: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Return rows of a snapshot from a place in its file on, and the place of those after."""
    try:
        path = artifacts.snapshot_rows(snapshot)
        with path.open("rb") as file:
            # No further than its end: file systems refuse places that no file of theirs can have.
            file.seek(min(max(0, start - 1), path.stat().st_size))
            if start and file.read(1) != b"\n":
                raise SnapshotError("No row begins there. Send `next` of the answer before.")
            rows = [json.loads(line) for line in islice(file, count)]
            return rows, file.tell() if file.peek(1) else None
    except FileNotFoundError:
        raise SnapshotError("The rows of this snapshot are missing in the store.") from None
