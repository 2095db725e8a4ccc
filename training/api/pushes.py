"""Copies of checkpoints and snapshots elsewhere, and how far each is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations.api.operations import Answer, Body, Call, IdInAddress, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from training import access, services
from training.models import Push
from training.services.pushes import LONGEST_URL

operations = Operations("Pushes", refusals=(services.ServiceError,))


class PushOut(Answer):
    """A copy of a checkpoint or a snapshot at a place elsewhere: whole there, or absent."""

    id: int
    checkpoint: int | None
    snapshot: int | None
    url: str
    state: Push.State
    attempt: int
    bytes_done: int
    bytes_total: int = Field(description="Of writing, and of reading what was written.")
    address: str = Field(description="Where it lies, once it has succeeded; else empty.")
    files: dict[str, str] = Field(description="By name, the SHA-256 that each file has there.")
    error: str = Field(description="Of a failed push: what happened and what to do.")
    is_stopping: bool
    created_at: datetime
    ended_at: datetime | None


class PushFilters(Paged):
    state: Push.State | None = None
    checkpoint: IdInAddress | None = None
    snapshot: IdInAddress | None = None


class NewPush(Body):
    """Where a copy is to lie."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)] = Field(
        description="A folder that is not there yet, below one that the site allows, or "
        "`hf://owner/name`. A refusal names what the site allows."
    )


@operations.get("projects/<int:project_id>/pushes")
def list_pushes(call: Call, project_id: int, query: PushFilters) -> Page[PushOut]:
    """List what was copied elsewhere. Owners and engineers of the project can."""
    project = access.get_project_for(call.user, project_id)
    same = query.model_dump(include={"state", "checkpoint", "snapshot"}, exclude_none=True)
    return page_of(project.pushes.filter(**same), query, _push)


@operations.post("checkpoints/<int:checkpoint_id>/pushes", Scope.TRAIN, status=201)
def push_checkpoint(call: Call, checkpoint_id: int, body: NewPush) -> PushOut:
    """Copy a checkpoint's files, with its model card, to a place elsewhere.

    It goes on in the background: ask for the push until its `state` is an end.
    """
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return _push(services.push_checkpoint(checkpoint, body.url, started_by=call.user))


@operations.post("snapshots/<int:snapshot_id>/pushes", Scope.TRAIN, status=201)
def push_snapshot(call: Call, snapshot_id: int, body: NewPush) -> PushOut:
    """Copy a snapshot's rows and manifest to a place elsewhere, as a checkpoint is."""
    snapshot = access.get_snapshot_for(call.user, snapshot_id)
    return _push(services.push_snapshot(snapshot, body.url, started_by=call.user))


@operations.get("pushes/<int:push_id>")
def get_push(call: Call, push_id: int) -> PushOut:
    """Show how far a copy is, and where it lies. Owners and engineers of its project can."""
    return _push(access.get_push_for(call.user, push_id))


@operations.post("pushes/<int:push_id>/cancel", Scope.TRAIN)
def cancel_push(call: Call, push_id: int) -> PushOut:
    """Stop a copy. What it wrote is removed; one that has ended stays as it is."""
    push = access.get_push_for(call.user, push_id)
    services.cancel_push(push, cancelled_by=call.user)
    return _push(push)


def _push(push: Push) -> PushOut:
    return PushOut(
        id=push.pk,
        checkpoint=push.checkpoint_id,
        snapshot=push.snapshot_id,
        url=push.url,
        state=Push.State(push.state),
        attempt=push.attempt,
        bytes_done=push.bytes_done,
        bytes_total=push.bytes_total,
        address=push.result.get("address", ""),
        files=push.result.get("files", {}),
        error=push.error,
        is_stopping=push.cancel_requested_at is not None and push.is_alive,
        created_at=push.created_at,
        ended_at=push.ended_at,
    )
