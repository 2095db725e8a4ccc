"""Deleting what nothing depends on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import ProtectedError

from training import artifacts, removal, selectors
from training.models import Checkpoint, DatasetSnapshot
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import User

NAMED = 5
"""So many of what uses it are named."""


@transaction.atomic
def delete_checkpoint(checkpoint: Checkpoint, *, deleted_by: User, reason: str) -> None:
    """Delete a checkpoint and its files, for good. A base model's files are not ours and stay."""
    is_ours = checkpoint.kind != Checkpoint.Kind.BASE
    facts = {
        "kind": checkpoint.kind,
        "run": checkpoint.run_id,
        "parent": checkpoint.parent and checkpoint.parent.name,
        "files": checkpoint.manifest.get("files", {}),
        **({"path": checkpoint.path} if is_ours else {}),
        **({"url": checkpoint.endpoint.url} if checkpoint.is_external else {}),
    }
    _delete(checkpoint, deleted_by, reason, facts)


@transaction.atomic
def delete_snapshot(snapshot: DatasetSnapshot, *, deleted_by: User, reason: str) -> None:
    """Delete a snapshot and its rows. The annotations stay; freezing them again gives it again."""
    folder = artifacts.snapshot_folder(snapshot).relative_to(artifacts.root())
    facts = {
        "content": snapshot.content,
        "sha256": snapshot.sha256,
        "seed": snapshot.seed,
        "filters": snapshot.filters,
        "path": folder.as_posix(),
    }
    _delete(snapshot, deleted_by, reason, facts)


def _delete(
    subject: Checkpoint | DatasetSnapshot, deleted_by: User, reason: str, facts: dict[str, Any]
) -> None:
    """Delete the row with a line in the audit log; the files go once that is certain."""
    record(subject.project, deleted_by, removal.DELETED, subject, reason, facts)
    name, found = str(subject), selectors.dependents(subject)
    if found:
        raise ServiceError(f"{name} stays, because of {'; '.join(found)}. Delete those first.")
    try:
        subject.delete()
    except ProtectedError as error:  # what came to depend on it just now, or is named nowhere else
        users = ", ".join(sorted(map(str, error.protected_objects))[:NAMED])
        raise ServiceError(f"{name} stays, because {users} uses it. Delete that first.") from None
    if path := facts.get("path"):
        transaction.on_commit(partial(removal.remove, path))
