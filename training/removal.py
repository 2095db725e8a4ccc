"""Take away the files of what was deleted: the row goes first, the files after it.

A folder is renamed before it is emptied, so that nobody finds half of it. A crash in between leaves
files that no row names; the audit log knows them, and `sweep` takes them away later.
"""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models.functions import Now

from training import store
from training.models import AuditEntry

logger = logging.getLogger(__name__)

DELETED = "deleted"
SUFFIX = ".deleted"
SWEPT_FOR = timedelta(days=30)


def remove(path: str) -> None:
    """Remove a folder of the artifact store, named below its root. What lies elsewhere stays."""
    root = Path(settings.ARTIFACTS_ROOT).resolve()
    folder = (root / path).resolve()
    if folder == root or not folder.is_relative_to(root):
        return
    aside = folder.with_name(folder.name + SUFFIX)
    try:
        if folder.exists() and not aside.exists():
            folder.rename(aside)
        for left in (folder, aside):
            if left.exists():
                shutil.rmtree(left)
        store.remove(folder.relative_to(root).as_posix())
    except (OSError, store.StoreError) as error:
        logger.warning("%s could not be removed now (%s); it is tried again.", folder, error)


def sweep() -> None:
    """Remove what is still there of what was deleted lately."""
    entries = AuditEntry.objects.filter(action=DELETED, created_at__gt=Now() - SWEPT_FOR)
    for facts in entries.values_list("facts", flat=True):
        if path := facts.get("path"):
            folder = Path(settings.ARTIFACTS_ROOT) / path
            if folder.exists() or folder.with_name(folder.name + SUFFIX).exists():
                remove(path)
