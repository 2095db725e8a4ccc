"""Boards that are reckoned before they are shown."""

from __future__ import annotations

from training import tasks


def read_votes() -> bool:
    """Ask a worker to read all votes and reckon boards. Return False where none can be asked."""
    return tasks.hint_boards()
