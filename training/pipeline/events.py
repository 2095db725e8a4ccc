"""How a child process tells what it does: one JSON event a line on standard output."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[dict[str, Any]], None]

HEARTBEAT_SECONDS = 5


def events_to_stdout() -> Report:
    """Keep standard output for events and return what sends one, from any thread.

    Whatever a library prints goes to standard error from now on: to the log.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def report(event: dict[str, Any]) -> None:
        with lock:
            events.write(json.dumps(event, ensure_ascii=False) + "\n")
            events.flush()

    return report


@contextmanager
def beating(report: Report) -> Iterator[None]:
    """Send a heartbeat every few seconds; none comes after the block's end."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            report({"event": "heartbeat"})

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
