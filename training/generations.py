"""The streamed completions that a service of `training.replies` has taken: from queue to child.

They live in the broker, not in the database: what nobody reads any more is stopped, and what a
dead service leaves behind its reader is told of. Where the checkpoint is a server elsewhere, that
is asked (`training.elsewhere`) and not the child.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError

from training import artifacts, lifecycle, streams
from training.elsewhere import Elsewhere
from training.models import Checkpoint
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import StreamRequest
from training.streams import DIED, MOST_AT_ONCE
from training.supervisor import Event

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
"""How often the queue and the wishes to stop are looked at."""
ANNOUNCE_EVERY_S = 2.0
LOOK_AGAIN_S = 5.0
"""How long a broker that did not answer is left alone."""
LIMIT_S = 300.0
"""A completion that takes longer ends where it is."""
STUCK_S = 60.0
"""A child that has not ended one so long after that hangs."""

GONE = "This checkpoint is not there any more. Choose another."
NO_POLICY = "This checkpoint gives scores, not answers. Choose a policy or a base model."
CANNOT_ANSWER = (
    "The model could not answer. Tell an engineer of the project, for whom the sampling worker's "
    "log says why; then ask again."
)
NO_DATABASE = "The database does not answer, so no model can be asked. Try again in a minute."
STOPPED_OVER_IT = (
    "The process of the model stopped while it answered. Most often its machine has too little "
    "memory. Tell an engineer of the project, then ask again."
)

Tell = Callable[[Mapping[str, Any]], None]


@dataclass
class _Taken:
    """A request that this service has taken."""

    request: StreamRequest
    handed_at: float | None = None
    """When the child got it."""
    has_text: bool = False
    was_lost: bool = False
    """Whether a child died over it."""
    is_stopped: bool = False


class Generations:
    """The streamed completions of one service."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.service = secrets.token_hex(8)
        self.note = note
        self.taken: dict[str, _Taken] = {}
        self.elsewhere = Elsewhere(note)
        self._torn: set[str] = set()
        """Those of which the broker lacks an event: their readers know that it was away."""
        self._looked_at = self._announced_at = float("-inf")

    def __len__(self) -> int:
        return len(self.taken) + len(self.elsewhere)

    def look(self, tell: Tell | None) -> None:
        """Take what waits, and stop what is not wanted any more. `tell` speaks to the child."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            if now - self._announced_at >= ANNOUNCE_EVERY_S:
                self._announced_at = now
                streams.announce(self.service)
            self._stop_unwanted(tell)
            while len(self.taken) < MOST_AT_ONCE and (found := streams.take()):
                self._take(*found)
        except streams.BrokerError as error:  # who waits is told by the door
            self._looked_at = now + LOOK_AGAIN_S
            logger.warning("Replies: the broker did not answer (%s).", error)

    def is_stuck(self) -> bool:
        """Return whether the child goes on with something long after it was told to stop."""
        last = time.monotonic() - LIMIT_S - STUCK_S
        return any(t.handed_at is not None and t.handed_at < last for t in self.taken.values())

    def due(self) -> list[StreamRequest]:
        """Return what the child is to be told now, and remember that it was."""
        due = [taken for taken in self.taken.values() if taken.handed_at is None]
        for taken in due:
            taken.handed_at = time.monotonic()
        return [taken.request for taken in due]

    def take_in(self, event: Event) -> bool:
        """Pass an event of the child on to the reader; return whether it was about one of ours."""
        name = str(event.get("request"))
        taken = self.taken.get(name)
        if taken is None:
            return False
        match event["event"]:
            case "text":
                taken.has_text = True
                self._write(name, {"event": "text", "text": lifecycle.clean(event["text"])})
            case "ended":
                self._end(name, event)
            case "refused":
                code = str(event.get("code", ""))
                self._fail(name, str(event["message"]), "refused", refusal=True, code=code)
            case "failed":
                self._fail(name, CANNOT_ANSWER, str(event["message"]))
        return True

    def mourn(self) -> None:
        """Let the next child answer what a child died over, once, unless it was being read."""
        for name, taken in list(self.taken.items()):
            if taken.handed_at is None:
                continue
            if taken.was_lost or taken.has_text or taken.is_stopped:
                self._fail(name, STOPPED_OVER_IT, "the child died over it")
            else:
                taken.handed_at, taken.was_lost = None, True

    def leave(self) -> None:
        """Tell the readers that this service ends."""
        for name in list(self.taken):
            self._fail(name, DIED, "the service leaves")
        self.elsewhere.leave()
        try:
            streams.take_leave(self.service)
        except streams.BrokerError as error:  # it is forgotten in a few seconds in any case
            logger.warning("Replies: the broker did not answer (%s).", error)

    def _take(self, name: str, wanted: dict[str, Any]) -> None:
        try:
            checkpoint = _checkpoint(wanted.pop("checkpoint_id"))
            if checkpoint.is_external:
                self._take_elsewhere(name, checkpoint, wanted)
                return
            request = _request(name, checkpoint, wanted)
        except PipelineError as error:
            self._write(name, {"event": "failed", "message": str(error), "refusal": True})
            self.note(f"stream {name} failed: {error}")
            return
        except (OperationalError, InterfaceError):
            self._write(name, {"event": "failed", "message": NO_DATABASE})
            raise
        self.taken[name] = _Taken(request)
        self._write(name, {"event": "taken", "service": self.service})

    def _take_elsewhere(self, name: str, checkpoint: Checkpoint, wanted: dict[str, Any]) -> None:
        """Let a server elsewhere be asked."""
        if refusal := self.elsewhere.take(name, checkpoint, wanted):
            self._fail(name, refusal, "too many are asked")
            return
        self._write(name, {"event": "taken", "service": self.service})
        self.elsewhere.begin(name)

    def _stop_unwanted(self, tell: Tell | None) -> None:
        now = time.monotonic()
        self._torn &= self.taken.keys() | self.elsewhere.asked.keys()
        unwanted = streams.unwanted([*self.taken, *self.elsewhere.asked]) | self._torn
        self.elsewhere.look(unwanted)
        for name, taken in list(self.taken.items()):
            if taken.handed_at is None:
                if name in unwanted:
                    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
                    seed = taken.request.seed
                    self._end(name, {"reason": "stop", "usage": usage, "seed": seed})
                continue
            too_long = now - taken.handed_at > LIMIT_S
            if tell is not None and not taken.is_stopped and (too_long or name in unwanted):
                taken.is_stopped = True
                tell({"stop": name, "reason": "length" if too_long else "stop"})

    def _end(self, name: str, event: Event) -> None:
        words = {key: event[key] for key in ("reason", "usage", "seed")}
        self._write(name, {"event": "ended", **words})
        taken = self.taken.pop(name, None)
        self._torn.discard(name)
        if taken is None or taken.handed_at is None:
            return
        seconds = time.monotonic() - taken.handed_at
        tokens = event["usage"]["completion_tokens"]
        self.note(f"stream {name} ended in {seconds:.1f} s, {tokens} tokens")
        try:
            streams.note_pace(seconds)
        except streams.BrokerError as error:
            logger.warning("Replies: the broker did not answer (%s).", error)

    def _fail(
        self, name: str, message: str, why: str, *, refusal: bool = False, code: str = ""
    ) -> None:
        words = {"message": message, "refusal": refusal, "code": code}
        self._write(name, {"event": "failed", **words})
        self.taken.pop(name, None)
        self._torn.discard(name)
        self.note(f"stream {name} failed: {why}")

    def _write(self, name: str, event: dict[str, Any]) -> None:
        """Write an event for the reader, unless the broker was away before."""
        if name in self._torn:
            return
        try:
            streams.write(name, event)
        except streams.BrokerError as error:
            self._torn.add(name)
            logger.warning("Replies: the broker did not answer (%s).", error)


def _checkpoint(checkpoint_id: int) -> Checkpoint:
    """Return who is to answer. Raise PipelineError with words for whoever asked."""
    found = Checkpoint.objects.select_related("endpoint").filter(id=checkpoint_id).first()
    if found is None:
        raise PipelineError(GONE)
    if found.kind == Checkpoint.Kind.REWARD:
        raise PipelineError(NO_POLICY)
    return found


def _request(name: str, checkpoint: Checkpoint, wanted: dict[str, Any]) -> StreamRequest:
    """Return what the child is told. Raise PipelineError with words for whoever asked."""
    base = artifacts.checkpoint_folder(artifacts.base_of(checkpoint))
    try:
        artifacts.check_base(base)
    except PipelineError as error:
        logger.warning("Replies: %s can't answer: %s", checkpoint, error)
        raise PipelineError(CANNOT_ANSWER) from None
    return StreamRequest(
        id=name,
        base_path=str(base),
        adapter_path=artifacts.adapter_folder(checkpoint),
        **{**wanted, "stop": list(wanted["stop"])},
    )
