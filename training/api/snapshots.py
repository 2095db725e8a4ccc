"""Freezing what people said, and reading the rows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from annotations.api.files import pieces_of
from annotations.api.operations import (
    DIGITS,
    LARGEST_ID,
    Answer,
    Body,
    Call,
    FileAnswer,
    Operations,
    Query,
    Scope,
)
from annotations.api.pages import Page, Paged, page_of
from training import access, artifacts, services
from training.api.checkpoints import WhyDeleted
from training.models import DatasetSnapshot
from training.snapshots import SnapshotError, rows_from

operations = Operations("Snapshots", refusals=(services.ServiceError, SnapshotError))

MOST_ROWS = 500


class SnapshotOut(Answer):
    """Rows frozen from a project's annotations. Its hash is its content; it never changes."""

    id: int
    content: DatasetSnapshot.Content
    filters: dict[str, Any]
    seed: int
    counts: dict[str, Any]
    sha256: str
    replaces: int | None
    created_at: datetime


class SnapshotFilters(Paged):
    content: DatasetSnapshot.Content | None = None


class Filters(Body):
    """What stays out. What is not given is no filter."""

    limit: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    leave_out_annotators: list[str] | None = Field(None, description="Pseudonyms.")
    no_personal_data: bool | None = Field(
        None, description="Leave out rows that seem to tell who somebody is."
    )
    ties: bool | None = Field(None, description="Of preferences: keep ties as rows.")
    votes: str | None = Field(None, description="Of preferences: `majority` or `weighted`.")


class NewSnapshot(Body):
    """What to freeze."""

    content: DatasetSnapshot.Content
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    filters: Filters | None = None


class RowsFrom(Query):
    """A part of the rows."""

    start: Annotated[int, Field(ge=0, le=LARGEST_ID), DIGITS] = Field(
        0, description="Where in the file to begin: `next` of the answer before."
    )
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS), DIGITS] = 100


class Rows(Answer):
    """Rows of a snapshot, in the order of its file."""

    rows: list[dict[str, Any]]
    next: int | None = Field(description="`start` of the next rows; null after the last.")


@operations.get("projects/<int:project_id>/snapshots")
def list_snapshots(call: Call, project_id: int, query: SnapshotFilters) -> Page[SnapshotOut]:
    """List the snapshots of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    found = project.snapshots.defer("annotation_ids")
    if query.content is not None:
        found = found.filter(content=query.content)
    return page_of(found, query, _snapshot)


@operations.post("projects/<int:project_id>/snapshots", Scope.TRAIN, status=201)
def freeze_snapshot(call: Call, project_id: int, body: NewSnapshot) -> SnapshotOut:
    """Freeze what people said so far. The same annotations, filters and seed give the same hash."""
    project = access.get_project_for(call.user, project_id)
    return _snapshot(
        services.freeze_snapshot(
            project,
            body.content,
            created_by=call.user,
            seed=body.seed,
            filters=body.filters.model_dump(exclude_none=True) if body.filters else {},
        )
    )


@operations.get("snapshots/<int:snapshot_id>")
def get_snapshot(call: Call, snapshot_id: int) -> SnapshotOut:
    """Show a snapshot. Owners and engineers of its project can."""
    return _snapshot(access.get_snapshot_for(call.user, snapshot_id))


@operations.get("snapshots/<int:snapshot_id>/rows")
def get_snapshot_rows(call: Call, snapshot_id: int, query: RowsFrom) -> Rows:
    """Read the rows of a snapshot, as trainers read them; people are pseudonyms."""
    snapshot = access.get_snapshot_for(call.user, snapshot_id)
    rows, following = rows_from(snapshot, query.start, query.limit)
    return Rows(rows=rows, next=following)


@operations.download("snapshots/<int:snapshot_id>/rows.jsonl", "application/jsonl")
def download_snapshot(call: Call, snapshot_id: int) -> FileAnswer:
    """Get all rows of a snapshot as a file: its SHA-256 is the snapshot's."""
    snapshot = access.get_snapshot_for(call.user, snapshot_id)
    path = artifacts.snapshot_rows(snapshot)
    if not path.is_file():
        raise services.ServiceError("Its rows are missing in the artifact store. Restore them.")
    name = f"snapshot-{snapshot.pk}-{snapshot.content}.jsonl"
    return FileAnswer(name, "application/jsonl", pieces_of(path))


@operations.post("snapshots/<int:snapshot_id>/clean", Scope.TRAIN, status=201)
def freeze_clean(call: Call, snapshot_id: int) -> SnapshotOut:
    """Freeze by a snapshot's recipe what counts now; the clean one that is there is returned."""
    snapshot = access.get_snapshot_for(call.user, snapshot_id)
    return _snapshot(services.freeze_clean(snapshot, created_by=call.user))


@operations.post("snapshots/<int:snapshot_id>/delete", Scope.TRAIN)
def delete_snapshot(call: Call, snapshot_id: int, body: WhyDeleted) -> None:
    """Delete a snapshot and its rows, if nothing depends on it. The annotations stay."""
    snapshot = access.get_snapshot_for(call.user, snapshot_id)
    services.delete_snapshot(snapshot, deleted_by=call.user, reason=body.reason)


def _snapshot(snapshot: DatasetSnapshot) -> SnapshotOut:
    return SnapshotOut(
        id=snapshot.pk,
        content=DatasetSnapshot.Content(snapshot.content),
        filters=snapshot.filters,
        seed=snapshot.seed,
        counts=snapshot.counts,
        sha256=snapshot.sha256,
        replaces=snapshot.replaces_id,
        created_at=snapshot.created_at,
    )
