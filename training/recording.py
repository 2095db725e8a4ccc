"""Write down what the child of a run says, a few times a second at most."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from training import lifecycle, machines, radar
from training.pipeline.radar import LookTaken
from training.supervisor import Event, StopReason

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0
LOG_EVERY_S = 3.0
LOG_BYTES = 8_000
LOG_LINES = 60
SAMPLES_KEPT = 8
STEP = "step"
RADAR_EVERY_S = 5.0
"""How often a run that people may stop is held against what they say."""


class Recorder:
    """The events of one attempt, gathered and written with its number.

    A call returns False once the attempt was superseded. A database that is away for a while
    loses nothing; when it is away for so long that the run may have been given to another
    worker, the error is raised and the child ends.
    """

    def __init__(self, run_id: int, attempt: int, log: Path) -> None:
        self.run_id, self.attempt, self.log = run_id, attempt, log
        self._changes: dict[str, Any] = {}
        self._progress: tuple[int, int] | None = None
        self._points: list[tuple[int, str, float]] = []
        self._looks: list[LookTaken] = []
        self._radar_asked_at: float | None = None
        self._gpus = machines.Teller()
        self._measured_before = self._progressed_before = False
        self._alive = True
        self._log_written_at = 0.0
        self._flushed_at = time.monotonic()

    def __call__(self, event: Event) -> bool:
        """Take in one event."""
        match event["event"]:
            case "phase":
                self._changes["phase"] = str(event.get("phase", ""))[:100]
                self._changes["phase_unit"] = ""
            case "count":
                self._changes |= _count(event)
            case "progress":
                self._changes["phase_unit"] = STEP
                self._progress = (_whole(event.get("step")), _whole(event.get("total_steps")))
            case "metrics":
                self._points += _points(event)
            case "samples":
                self._changes["samples"] = _samples(event)
            case "radar":
                self._looks += _looks(event)
        is_first_step = self._progress is not None and not self._progressed_before
        if is_first_step or time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()
        return self._alive

    def should_stop(self) -> StopReason | None:
        """Return why the child should end now; also write what is still unwritten."""
        try:
            if self._progress or self._points or self._changes or self._looks:
                self.flush()
            self._ask_radar()
            self._gpus.tell()
            return lifecycle.stop_reason(self.run_id, self.attempt)
        except (OperationalError, InterfaceError):
            self._bear_with_database()
            return None

    def flush(self) -> None:
        """Write everything that was gathered, and the end of the log now and then."""
        if time.monotonic() - self._log_written_at >= LOG_EVERY_S:
            self._changes["log_tail"] = tail(self.log)
            self._log_written_at = time.monotonic()
        try:
            self._alive = self._write()
        except (OperationalError, InterfaceError):
            self._bear_with_database()
            return
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Write what is left, with the last lines of the log."""
        self._log_written_at = 0.0
        self.flush()

    def _write(self) -> bool:
        run_id, attempt = self.run_id, self.attempt
        if self._points and not self._measured_before:
            first = min(step for step, _, _ in self._points)
            if not lifecycle.forget_metrics_from(run_id, attempt, first):
                return False
            self._measured_before = True
        if self._points and not lifecycle.record_metrics(run_id, attempt, self._points):
            return False
        self._points = []
        if self._progress and not lifecycle.record_progress(run_id, attempt, *self._progress):
            return False
        self._progressed_before = self._progressed_before or self._progress is not None
        self._progress = None
        while self._looks:
            if not radar.record_look(run_id, attempt, self._looks[0]):
                return False
            self._looks.pop(0)
            self._radar_asked_at = self._radar_asked_at or float("-inf")
        alive = lifecycle.heartbeat(run_id, attempt, **self._changes)
        self._changes = {}
        return alive

    def _ask_radar(self) -> None:
        """Tell the child to stop, now and then, if people have parted from its reward."""
        asked_at = self._radar_asked_at
        if asked_at is not None and time.monotonic() - asked_at >= RADAR_EVERY_S:
            self._radar_asked_at = time.monotonic()
            radar.tell_child(self.run_id)

    def _bear_with_database(self) -> None:
        silent_s = time.monotonic() - self._flushed_at
        logger.warning("Run %s: the database did not answer.", self.run_id, exc_info=True)
        if silent_s > lifecycle.silence_allowed().total_seconds() * 2 / 3:
            raise
        if not connection.in_atomic_block:
            connection.close()


def tail(log: Path) -> str:
    """Return the last lines of a log; of a progress bar only its last state."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(lines[-LOG_LINES:]).strip()


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _count(event: Event) -> dict[str, Any]:
    total = _whole(event.get("total"))
    return {
        "phase_unit": str(event.get("unit", ""))[:20],
        "phase_done": min(_whole(event.get("done")), total),
        "phase_total": total,
    }


def _points(event: Event) -> Iterator[tuple[int, str, float]]:
    values = event.get("values")
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, int | float) and abs(value) < 1e300:
            yield _whole(event.get("step")), str(lifecycle.clean(str(name))), float(value)


def _samples(event: Event) -> list[dict[str, Any]]:
    samples = event.get("samples")
    return (
        [s for s in samples if isinstance(s, dict)][:SAMPLES_KEPT]
        if isinstance(samples, list)
        else []
    )


def _looks(event: Event) -> list[LookTaken]:
    try:
        return [LookTaken.from_dict(event["look"])]
    except (TypeError, ValueError, KeyError):
        return []
