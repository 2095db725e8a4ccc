"""What a line in the log, a message to a worker and a child process belong to: ids, never texts.

A request has an id, which its answer carries in `X-Request-ID`. The Celery messages that it sends
carry it on, and a task hands it, with the id of its run, to the child process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

PREFIX = "TRACE_"
"""Of the variables that tell a child process what it belongs to."""

_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default=MappingProxyType({}))


def ids() -> Mapping[str, str]:
    """Return the ids that whatever happens here and now belongs to."""
    return _ids.get()


@contextmanager
def belonging_to(**named: object) -> Iterator[None]:
    """Let what happens inside belong to these ids, beside those that it belongs to already."""
    token = _ids.set({**_ids.get(), **{name: str(value) for name, value in named.items()}})
    try:
        yield
    finally:
        _ids.reset(token)


def begin(**named: object) -> None:
    """Let everything from here on belong to these ids alone: a worker's next task."""
    _ids.set({name: str(value) for name, value in named.items()})


def environment() -> dict[str, str]:
    """Return the variables that tell a child process what it belongs to."""
    return {f"{PREFIX}{name.upper()}": value for name, value in ids().items()}


def in_words() -> str:
    """Return the ids for a line of a log, or an empty string."""
    return ", ".join(f"{name} {value}" for name, value in ids().items())
