"""Files that people bring in to be imported, on machines that share a store but no disk.

Whoever took the upload sends it to the store before anybody is told of it, and who reads it brings
it here: a worker, or another web machine for the preview. With a shared folder this does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annotations import services as collecting
from training import store

logger = logging.getLogger(__name__)


def keep(*, folder: Path, **_signal: Any) -> None:
    """Send a file to the store."""
    with _in_words():
        store.keep(folder)


def bring(*, folder: Path, beat: Callable[[], object], **_signal: Any) -> None:
    """Bring a file here, unless it lies here already."""
    with _in_words(), store.beating(beat):
        store.bring(folder)


def remove(*, folder: Path, **_signal: Any) -> None:
    """Remove a file from the store. What can't be removed is in nobody's way."""
    try:
        store.remove_folder(folder)
    except store.StoreError as error:
        logger.warning("%s could not be removed from the artifact store: %s", folder, error)


@contextmanager
def _in_words() -> Iterator[None]:
    """Raise what is wrong with the store as collecting raises what can't be done."""
    try:
        yield
    except store.StoreError as error:
        raise collecting.ServiceError(str(error)) from None
