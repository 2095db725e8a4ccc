"""How a stage ends before its time."""

from __future__ import annotations


class PipelineError(Exception):
    """Something that the engineer can act on; the message names the cure."""


class RunStopped(Exception):
    """The run was asked to stop and did so."""
