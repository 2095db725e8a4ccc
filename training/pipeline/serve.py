"""`python -m training.pipeline.serve`: a resident process that writes what people wait for.

Standard input brings one `ReplyRequest` (a turn of a conversation) or `StreamRequest` a line, or
`{"stop": "s1", "reason": "stop"}`. Standard output carries one event a line:

    {"event": "phase", "phase": "loading the model"}
    {"event": "progress", "request": "7", "percent": 40}
    {"event": "replies", "request": "7", "replies": [{"text": …, "sampling": {…}}, …]}
    {"event": "text", "request": "s1", "text": "An old silent"}
    {"event": "ended", "request": "s1", "reason": "stop", "usage": {…}, "seed": 5}
    {"event": "refused", "request": "7", "message": "This conversation is too long …"}
    {"event": "failed", "request": "7", "message": …}

*Refused* are messages that no model of this base can answer, in words for the person who wrote
them; *failed* is what an engineer has to mend. Either concerns its request alone: the process
lives on until standard input ends.

Everything is written side by side, whenever it came (`training.pipeline.writing`). What is written
depends on its seed alone, not on what else is in its batch.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.pipeline.errors import PipelineError
from training.pipeline.events import Report, beating, events_to_stdout
from training.pipeline.jobs import ReplyRequest, StreamRequest

if TYPE_CHECKING:
    from training.pipeline.residents import ResidentModels


@dataclass(frozen=True)
class Stop:
    """That a stream is to end."""

    stream: str
    reason: str


Told = ReplyRequest | StreamRequest | Stop
"""What a line of standard input says."""


def main() -> int:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the process that started it decides
    # Read when torch is loaded. Threads that spin while they wait for each other take minutes for
    # a reply beside a run that uses the same cores (docs/log.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    report = events_to_stdout()
    report({"event": "phase", "phase": "starting"})
    with beating(report):
        waiting = _reading(report)
        from training.pipeline.residents import ResidentModels
        from training.pipeline.writing import Writer

        writer = Writer(ResidentModels(), report)
        report({"event": "phase", "phase": "ready"})
        while (told := _news(waiting, writer.is_busy)) is not None:
            for line in told:
                if isinstance(line, Stop):
                    writer.stop(line.stream, line.reason)
                else:
                    writer.add(line)
            writer.step()
    return 0


def _reading(report: Report) -> queue.SimpleQueue[Told | None]:
    """Return the queue to which a thread adds what standard input brings; None is its end."""
    waiting: queue.SimpleQueue[Told | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for line in sys.stdin.buffer:
                if request := _parse(line, report):
                    waiting.put(request)
        finally:
            waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def _news(waiting: queue.SimpleQueue[Told | None], is_busy: bool) -> list[Told] | None:
    """Return what was told by now, and wait for it where there is nothing else to do.

    None is the end: what is unanswered then, nobody waits for.
    """
    told: list[Told] = []
    while not waiting.empty() or not (is_busy or told):
        line = waiting.get()
        if line is None:
            return None
        told.append(line)
    return told


def _parse(line: bytes, report: Report) -> Told | None:
    """Return what a line says; report where it says nothing of sense."""
    values: Any = None
    try:
        values = json.loads(line)
        if isinstance(values, dict) and isinstance(values.get("stop"), str):
            return Stop(values["stop"], str(values.get("reason", "stop")))
        if not isinstance(values, dict) or not isinstance(values.get("id"), str):
            raise PipelineError("A request is a JSON object with an id.")
        kind = StreamRequest if "seed" in values else ReplyRequest
        return kind.from_dict(values)
    except (PipelineError, ValueError, RecursionError) as error:
        name = values.get("id") if isinstance(values, dict) else None
        traceback.print_exc()  # to the log
        known = name if isinstance(name, str) else ""
        report({"event": "failed", "request": known, "message": str(error)})
        return None


def answer(
    requests: list[ReplyRequest | StreamRequest], models: ResidentModels, report: Report
) -> None:
    """Answer requests to the last token."""
    from training.pipeline.writing import Writer

    writer = Writer(models, report)
    for request in requests:
        writer.add(request)
    while writer.is_busy:
        writer.step()


if __name__ == "__main__":
    sys.exit(main())
