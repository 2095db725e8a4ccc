"""Streamed answers of servers elsewhere: a thread of the service asks for each.

They need no model of ours, so they begin at once and hold no place of those that do. What comes is
written to the broker as it comes. How each ended the service notes in its log, without its key.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from training import artifacts, lifecycle, streams
from training.models import Checkpoint
from training.pipeline.endpoint import Answer, EndpointError
from training.pipeline.endpoint_stream import ask_streamed
from training.pipeline.jobs import ExternalSource
from training.pipeline.outward import Line
from training.streams import DIED

logger = logging.getLogger(__name__)

MOST_ASKED = 16
"""Answers that are on their way at once; each holds a thread for as long as its server may take."""
LIMIT_S = 300.0
"""The longest that anybody waits for one, whatever its server is given elsewhere."""
MOST_PIECES = 5_000
"""After so many pieces they are gathered, or the stream forgets its beginning."""
GATHERED = 32
"""Characters."""

ALL_ASK = (
    "Too many answers of servers elsewhere are on their way at this moment. Try again in a minute."
)
BROKE_DOWN = (
    "Something unforeseen came back from the server. Tell whoever runs this installation: the "
    "sampling worker's log says what."
)

Event = dict[str, Any]


class Elsewhere:
    """The answers that this service has asked other servers for."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note
        self.asked: dict[str, _Asked] = {}
        self.leaving: list[_Asked] = []
        """Those that were stopped and whose threads have not noticed yet."""

    def __len__(self) -> int:
        return len(self.asked)

    def take(self, name: str, checkpoint: Checkpoint, wanted: dict[str, Any]) -> str:
        """Begin to ask for an answer. Return why not, or nothing. May raise PipelineError."""
        self.leaving = [one for one in self.leaving if one.is_alive()]
        if len(self.asked) + len(self.leaving) >= MOST_ASKED:
            return ALL_ASK
        source = artifacts.external_source(checkpoint)
        assert source is not None  # that is why it was brought here
        source = dataclasses.replace(source, timeout_s=min(source.timeout_s, LIMIT_S))
        key = artifacts.key_of(checkpoint.endpoint)
        self.asked[name] = _Asked(name, source, key, wanted)
        return ""

    def begin(self, name: str) -> None:
        """Start the thread of one that was taken and whose reader was told so."""
        if name in self.asked:
            self.asked[name].start()

    def look(self, unwanted: Collection[str]) -> None:
        """Stop what nobody wants any more, and note what has ended."""
        for name, one in list(self.asked.items()):
            if name in unwanted:
                one.stop()
            if one.outcome:
                self.note(f"stream {name} of {one.source.name} {one.outcome}")
                self.leaving.append(self.asked.pop(name))

    def leave(self) -> None:
        """Tell the readers that the service ends."""
        for name, one in self.asked.items():
            one.end({"event": "failed", "message": DIED}, "failed: the service leaves")
            one.line.hang_up()
            self.note(f"stream {name} of {one.source.name} {one.outcome}")
        self.asked.clear()


class _Asked(threading.Thread):
    """One answer on its way."""

    def __init__(self, name: str, source: ExternalSource, key: str, wanted: dict[str, Any]) -> None:
        super().__init__(name=f"stream-{name}", daemon=True)
        self.stream = name
        self.source = source
        self.key = key
        self.wanted = wanted
        self.line = Line()
        self.began = time.monotonic()
        self.outcome = ""
        """How it ended, for the log. After that nothing is written."""
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            self._ask()
        except EndpointError as error:
            self.end({"event": "failed", "message": str(error)}, f"failed: {error}")
        except streams.BrokerError as error:  # its reader is told by the door
            self.outcome = self.outcome or f"failed: the broker did not answer ({error})"
        except Exception:  # what nobody foresaw; its reader must not wait for ever
            logger.exception("The stream %s of %s broke off.", self.stream, self.source.name)
            self.end({"event": "failed", "message": BROKE_DOWN}, "failed: see the traceback")

    def stop(self) -> None:
        """End it where it is, at once: a server that hangs is waited for no longer."""
        self._end_with("stop", None)
        self.line.hang_up()

    def end(self, event: Event, outcome: str) -> None:
        """Write its last event, unless it has ended."""
        with self._lock:
            if not self.outcome:
                self.outcome = outcome
                try:
                    streams.write(self.stream, event)
                except streams.BrokerError as error:  # its reader is told by the door
                    logger.warning("Streams: the broker did not answer (%s).", error)

    def _ask(self) -> None:
        sampling = {
            "temperature": self.wanted["temperature"],
            "top_p": self.wanted["top_p"],
            "max_tokens": self.wanted["max_new_tokens"],
            "seed": self.wanted["seed"],
            **({"stop": list(self.wanted["stop"])} if self.wanted["stop"] else {}),
        }
        gathered, count = "", 0
        for piece in ask_streamed(
            self.source, self.key, self.wanted["messages"], sampling, self.line
        ):
            if isinstance(piece, Answer):
                self._say(gathered)
                self._end_with(piece.finish_reason, piece.tokens)
                return
            gathered, count = gathered + piece, count + 1
            if count <= MOST_PIECES or len(gathered) >= GATHERED:
                self._say(gathered)
                gathered = ""

    def _say(self, text: str) -> None:
        with self._lock:
            if text and not self.outcome:
                streams.write(self.stream, {"event": "text", "text": lifecycle.clean(text)})

    def _end_with(self, reason: str, tokens: int | None) -> None:
        usage = {} if tokens is None else {"completion_tokens": tokens}
        event = {"event": "ended", "reason": reason, "usage": usage, "seed": self.wanted["seed"]}
        self.end(event, f"ended in {time.monotonic() - self.began:.1f} s ({reason})")
