"""Copying a checkpoint or a snapshot elsewhere: asking for it, and stopping it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from annotations.algorithms.text import TextError, check_text
from training import artifacts, pushes, selectors, tasks
from training.models import Checkpoint, DatasetSnapshot, Push
from training.pipeline.checkpoints import damage_of
from training.pipeline.pushing import HUB
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project, User

LONGEST_URL = 500
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def push_targets() -> list[str]:
    """Return what addresses may begin with, as whoever runs this installation has set it."""
    return [*settings.PUSH_TARGETS, *([HUB] if settings.PUSH_HUB_TOKEN else [])]


def push_checkpoint(checkpoint: Checkpoint, url: str, *, started_by: User) -> Push:
    """Queue a copy of a checkpoint's files, with its model card, to a place elsewhere."""
    if checkpoint.kind not in (Checkpoint.Kind.POLICY, Checkpoint.Kind.REWARD):
        raise ServiceError(f"{checkpoint} was not made here. Push what a run made.")
    if damage_of(artifacts.checkpoint_folder(checkpoint), unread=True):
        raise ServiceError(f"Files of {checkpoint} are missing. Rebuild it or choose another one.")
    return _queue(checkpoint.project, url, started_by, checkpoint=checkpoint)


def push_snapshot(snapshot: DatasetSnapshot, url: str, *, started_by: User) -> Push:
    """Queue a copy of a snapshot's rows and manifest to a place elsewhere."""
    if not artifacts.snapshot_rows(snapshot).is_file():
        raise ServiceError("Its rows are missing in the artifact store. Freeze it again.")
    if selectors.reach(snapshot.project).snapshots.get(snapshot.pk):
        raise ServiceError(
            "Some of its annotations do not count any more. Freeze again without them, and push "
            "that one."
        )
    return _queue(snapshot.project, url, started_by, snapshot=snapshot)


@transaction.atomic
def cancel_push(push: Push, *, cancelled_by: User) -> None:
    """Stop a push. What it wrote is removed; one that has ended stays as it is."""
    pushes.cancel(push.pk)
    push.refresh_from_db()
    if push.cancel_requested_at is not None:
        reason = f"The copy to {push.url} is not wanted any more."
        record(push.project, cancelled_by, "push cancelled", push.what, reason)


@transaction.atomic
def _queue(
    project: Project,
    url: str,
    started_by: User,
    *,
    checkpoint: Checkpoint | None = None,
    snapshot: DatasetSnapshot | None = None,
) -> Push:
    url = _checked(url)
    if project.pushes.filter(url=url, state__in=Push.ALIVE).exists():
        raise ServiceError(f"Something is being pushed to {url} already. Wait for it, or stop it.")
    push = Push.objects.create(
        project=project, checkpoint=checkpoint, snapshot=snapshot, url=url, started_by=started_by
    )
    record(project, started_by, "push asked for", push.what, f"It is to be copied to {url}.")
    transaction.on_commit(partial(tasks.hint_push, push.pk))
    return push


def _checked(url: str) -> str:
    url = url.strip().rstrip("/")
    try:
        check_text(url, field="The address", max_chars=LONGEST_URL)
    except TextError as error:
        raise ServiceError(str(error)) from None
    targets = push_targets()
    if not targets:
        raise ServiceError(
            "Nothing may be pushed from here yet. Whoever runs this installation sets where to: "
            "PUSH_TARGETS, or PUSH_HUB_TOKEN for a hub."
        )
    if not any(_lies_below(url, target) for target in targets):
        raise ServiceError(f"Choose an address that begins with {' or '.join(targets)}.")
    if re.search(r"[\s\\?#%*\[\]{}]|::|/\.{1,2}(/|$)|[^:]//", url):
        raise ServiceError(
            "The address is that of a folder, without “..”, “::”, “?”, “#”, “%”, “*”, brackets or "
            "spaces in it."
        )
    if url.startswith(HUB) and not REPO.fullmatch(url.removeprefix(HUB)):
        raise ServiceError(f"A repository of a hub is like {HUB}owner/name.")
    return url


def _lies_below(url: str, target: str) -> bool:
    beginning = target if target == HUB else target.rstrip("/") + "/"
    return url.startswith(beginning) and len(url) > len(beginning)
