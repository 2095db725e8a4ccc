"""A disk of limited size that can be full at one moment and have room again at the next.

It lies in memory: the machine's own disk is never filled. Only root may mount one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE = 1 << 30
TRIES = 50


class Disk:
    """What is mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room beyond what is taken. Whoever asks for more is told that there is none."""
        for _ in range(TRIES):  # it is refused where less is given than was taken meanwhile
            if self._resize(self._taken()):
                return
        raise OSError(f"{self.folder} can't be filled.")

    def free(self) -> None:
        """Give back the room that there was."""
        if not self._resize(SIZE):
            raise OSError(f"{self.folder} stays full.")

    def _taken(self) -> int:
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _resize(self, size: int) -> bool:
        return is_done("mount", "-o", f"remount,size={size}", str(self.folder))


@contextlib.contextmanager
def limited(folder: Path) -> Iterator[Disk | None]:
    """Make a folder that is a disk of its own; yield None where only a plain one can be had."""
    folder.mkdir()
    if not is_done("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "chaos", str(folder)):
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        # What still ends there may end later.
        is_done("umount", "--lazy", str(folder))


def is_done(*command: str) -> bool:
    """Return whether a command is there and did what it was told."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
