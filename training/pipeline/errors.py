"""How a stage ends before its time."""

from __future__ import annotations

from typing import Any


class PipelineError(Exception):
    """Something that the engineer can act on; the message names the cure.

    `change` has the settings of the cure, where it lies in settings: the page offers them.
    """

    def __init__(self, message: str, *, change: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.change = change or {}


class RunStopped(Exception):
    """The run was asked to stop and did so."""
