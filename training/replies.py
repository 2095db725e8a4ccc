"""Answer turns and streams: own the resident process, hand it what waits, pass on what it says.

One service serves a device (a machine, or the GPUs that a worker was given). It claims turns that
wait, keeps the claims alive while the child (`python -m training.pipeline.serve`) works on them,
and leaves when none came for a while. A turn lives in the database: whatever is killed here, its
claim runs out and the next service answers it. Beside them it takes the streamed completions that
wait in the broker (`training.generations`): one child, so one copy of a model, writes both.
`log.txt` in the service's folder tells the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from annotations.services import conversations
from annotations.services.conversations import Reply, WaitingTurn
from training import artifacts, lifecycle, selectors, streams, supervisor
from training.generations import Generations
from training.models import Checkpoint, Stage
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import ReplyRequest, StreamRequest
from training.supervisor import Event

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "training.pipeline.serve")
MOST_TURNS = 8
"""Turns that are answered at once: two replies each make a batch of sixteen."""
TEMPERATURE = 1.0
TOP_P = 0.95
"""Two samples of one policy should differ, but not by words from the far tail."""
MAX_NEW_TOKENS = 256
POLL_S = 0.3
"""How often the database is asked for turns."""
LISTEN_S = 0.1
REPORT_EVERY_S = 1.0
SIGN_OF_LIFE_S = 10.0
"""A claim lasts for a minute without one."""
CHILD_SILENCE_S = 90.0
"""A child says every five seconds that it lives, a little less often where a machine is busy."""
TURN_LIMIT_S = 600.0
"""A turn that is not answered by then hangs, whatever the child's heartbeat says."""
MAX_TURN_ATTEMPTS = 3
"""After so many children that died over it a turn is given up."""
LONGEST_LOG = 10 * 2**20

NO_CHECKPOINT = (
    "This project has no model that could answer. Ask an engineer of the project to add one, then "
    "ask again."
)
CANNOT_ANSWER = (
    "The model could not answer. Tell an engineer of the project, for whom the sampling worker's "
    "log says why; then ask again."
)
GAVE_UP = (
    f"The model stopped {MAX_TURN_ATTEMPTS} times while it wrote its replies. Most often its "
    "machine has too little memory. Tell an engineer of the project, then ask again."
)


def serve() -> None:
    """Answer turns until none came for a while; return at once where this device is served."""
    with supervisor.termination_as_shutdown():
        # A turn may begin to wait while the service leaves: its hint found the device served.
        while _serve_alone() and not supervisor.is_shutting_down():
            if not conversations.has_waiting_turns() and not _streams_wait():
                return


def _streams_wait() -> bool:
    try:
        return streams.count_waiting() > 0
    except streams.BrokerError:  # then a hint comes when it is back
        return False


def service_folder() -> Path:
    """Return the folder of this device's service: its lock and its log."""
    device = lifecycle.device_of(Stage.SAMPLE).replace("/", "-")
    return Path(settings.VAR_DIR) / "replies" / re.sub(r"[^\w.-]", "_", device)


def _serve_alone() -> bool:
    """Serve, unless another process does so on this device: then return False."""
    folder = service_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a process that dies gives it back
        except BlockingIOError:
            return False
        with _log(folder) as log:
            Service(folder, log).run()
    return True


def _log(folder: Path) -> IO[bytes]:
    path = folder / supervisor.LOG
    if path.exists() and path.stat().st_size > LONGEST_LOG:
        path.replace(path.with_suffix(".old.txt"))
    return path.open("ab")


@dataclass
class _Claimed:
    """A turn that this service has claimed."""

    turn: WaitingTurn
    request: ReplyRequest | None = None
    checkpoint_id: int = 0
    handed_at: float | None = None
    """When the child got it."""
    percent: int = 0
    reported_at: float = 0.0
    """When the database was last told that somebody works on it."""
    end: Callable[[], bool | None] | None = None
    """What writes down how it ended; None while it is unanswered."""

    @property
    def name(self) -> str:
        return f"{self.turn.id}-{self.turn.attempt}"

    @property
    def is_in_flight(self) -> bool:
        return self.handed_at is not None and self.end is None


class Service:
    """The claimed turns of one device, and the child that answers them."""

    def __init__(self, folder: Path, log: IO[bytes]) -> None:
        self.folder = folder
        self.log = log
        self.turns: dict[str, _Claimed] = {}
        self.child: supervisor.Child | None = None
        self.deaths: Counter[int] = Counter()
        """How many children died over a turn."""
        self.busy_at = time.monotonic()
        self.looked_at = float("-inf")
        self.generations = Generations(self._note)

    def run(self) -> None:
        """Answer until the worker is to end, or nothing came for REPLIES_IDLE_SECONDS."""
        self._note("the service starts")
        try:
            while not supervisor.is_shutting_down() and not self._is_idle():
                with self._bearing_with_database():
                    self._write_down()
                    self._claim()
                    self.generations.look(self.child.tell if self.child else None)
                self._hand_out()
                self._listen()
        finally:
            self._leave()

    def _is_idle(self) -> bool:
        if self.turns or self.generations:
            self.busy_at = time.monotonic()
        return time.monotonic() - self.busy_at > settings.REPLIES_IDLE_SECONDS

    # The database -------------------------------------------------------------------------

    def _claim(self) -> None:
        if time.monotonic() - self.looked_at < POLL_S:
            return
        self.looked_at = time.monotonic()
        room = MOST_TURNS - len(self.turns)
        if room and conversations.has_waiting_turns():
            for turn in conversations.claim_waiting_turns(room):
                self._accept(turn)

    def _accept(self, turn: WaitingTurn) -> None:
        claimed = _Claimed(turn, reported_at=time.monotonic())
        checkpoint = selectors.checkpoint_that_replies(turn.project_id)
        if checkpoint is None:
            self._give_up(claimed, NO_CHECKPOINT, "the project has no checkpoint")
        else:
            claimed.checkpoint_id = checkpoint.pk
            try:
                claimed.request = _request(claimed, checkpoint)
            except PipelineError as error:
                self._give_up(claimed, CANNOT_ANSWER, str(error))
        self.turns[claimed.name] = claimed

    def _write_down(self) -> None:
        """Write how turns ended, and that somebody works on the others."""
        for name, claimed in list(self.turns.items()):
            if claimed.end is not None:
                self._end(claimed)
                del self.turns[name]
            elif time.monotonic() - claimed.reported_at >= SIGN_OF_LIFE_S:
                self._report(claimed)

    def _end(self, claimed: _Claimed) -> None:
        """Write how a turn ended; where that can't be written, that it failed."""
        assert claimed.end is not None
        try:
            claimed.end()
        except (OperationalError, InterfaceError):
            raise  # the database is away: written when it is back
        except (DatabaseError, ValueError):
            logger.exception("Replies: turn %s can't be written down.", claimed.name)
            conversations.fail_turn(claimed.turn.id, claimed.turn.attempt, CANNOT_ANSWER)

    def _report(self, claimed: _Claimed) -> None:
        """Say how far a turn is; forget one that nobody waits for any more."""
        turn = claimed.turn
        claimed.reported_at = time.monotonic()
        if not conversations.report_turn_progress(turn.id, turn.attempt, claimed.percent):
            self._note(f"turn {claimed.name} is not waited for any more")
            del self.turns[claimed.name]

    @contextlib.contextmanager
    def _bearing_with_database(self) -> Iterator[None]:
        """Go on where the database is away: what is unwritten stays so until it is back."""
        try:
            yield
        except (OperationalError, InterfaceError):
            logger.warning("Replies: the database did not answer.", exc_info=True)
            if not connection.in_atomic_block:
                connection.close()
            time.sleep(POLL_S)

    # The child ----------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Tell the child of turns that it does not know yet.

        A turn that a child died over is answered alone: the next one may die over it, too.
        """
        in_flight = [c for c in self.turns.values() if c.is_in_flight]
        due = [c for c in self.turns.values() if c.handed_at is None and c.end is None]
        suspects = [c for c in due if self.deaths[c.turn.id]]
        if suspects:
            due = [] if in_flight else [min(suspects, key=lambda c: self.deaths[c.turn.id])]
        elif any(self.deaths[c.turn.id] for c in in_flight):
            due = []
        for claimed in due:
            assert claimed.request is not None
            claimed.handed_at = time.monotonic()
            self._tell(claimed.request)
        if not any(self.deaths[c.turn.id] for c in self.turns.values() if c.is_in_flight):
            for request in self.generations.due():
                self._tell(request)

    def _tell(self, request: ReplyRequest | StreamRequest) -> None:
        if self.child is None:
            supervisor.end_earlier_child(self.folder)
            command = getattr(settings, "REPLIES_COMMAND", COMMAND)
            self.child = supervisor.Child(
                command, self.folder, self.log, self._take_in, takes_input=True
            )
        self.child.tell(request.to_dict())

    def _listen(self) -> None:
        """Take in what the child says; bury one that died or hangs."""
        if self.child is None:
            time.sleep(LISTEN_S)
            return
        if self.child.read(LISTEN_S):
            while self.child.read(0):
                pass
        if self.child.has_exited():
            self._bury("died")
        elif time.monotonic() - self.child.heard_at > CHILD_SILENCE_S:
            self._bury("said nothing any more")
        elif self.generations.is_stuck() or any(
            c.is_in_flight and time.monotonic() - (c.handed_at or 0) > TURN_LIMIT_S
            for c in self.turns.values()
        ):
            self._bury("took too long")

    def _bury(self, why: str) -> None:
        """End the child. The turns that it worked on are released, or given up."""
        assert self.child is not None
        self.child.kill()
        self._note(f"the child {why} (exit status {self.child.process.returncode})")
        logger.warning("The process that writes replies %s. Its log: %s", why, self.log.name)
        self.child = None
        for claimed in [c for c in self.turns.values() if c.is_in_flight]:
            self._mourn(claimed)
        self.generations.mourn()

    def _mourn(self, claimed: _Claimed) -> None:
        """Release a turn that a child died over, or give it up."""
        turn = claimed.turn
        self.deaths[turn.id] += 1
        if self.deaths[turn.id] >= MAX_TURN_ATTEMPTS:
            del self.deaths[turn.id]
            self._give_up(claimed, GAVE_UP, f"{MAX_TURN_ATTEMPTS} children died over it")
        else:
            claimed.end = lambda: conversations.release_turn(turn.id, turn.attempt)

    def _take_in(self, event: Event) -> bool:
        """Take in an event of the child. One about a turn that is not ours any more is ignored."""
        if event["event"] == "phase":
            self._note(f"the child: {event.get('phase')}")
        if self.generations.take_in(event):
            return True
        claimed = self.turns.get(str(event.get("request")))
        if claimed is None or not claimed.is_in_flight:
            return True
        match event["event"]:
            case "progress":
                claimed.percent = int(event["percent"])
                if time.monotonic() - claimed.reported_at >= REPORT_EVERY_S:
                    with self._bearing_with_database():
                        self._report(claimed)
            case "replies":
                self._answer(claimed, event)
            case "refused":
                self._give_up(claimed, str(event["message"]), "refused")
            case "failed":
                self._give_up(claimed, CANNOT_ANSWER, str(event["message"]))
        return True

    def _answer(self, claimed: _Claimed, event: Event) -> None:
        turn = claimed.turn
        replies = [
            Reply(reply["text"], claimed.checkpoint_id, reply["sampling"])
            for reply in lifecycle.clean(event["replies"])
        ]
        claimed.end = lambda: conversations.answer_turn(turn.id, turn.attempt, replies)
        self.deaths.pop(turn.id, None)
        seconds = time.monotonic() - (claimed.handed_at or 0)
        tokens = " + ".join(str(reply.sampling.get("tokens")) for reply in replies)
        self._note(f"turn {claimed.name} answered in {seconds:.1f} s, {tokens} tokens")

    def _give_up(self, claimed: _Claimed, reason: str, why: str) -> None:
        turn = claimed.turn
        claimed.end = lambda: conversations.fail_turn(turn.id, turn.attempt, reason)
        self._note(f"turn {claimed.name} failed: {why}")

    # The end ------------------------------------------------------------------------------

    def _leave(self) -> None:
        """End the child and give back what is unanswered, to be claimed by another at once."""
        if self.child is not None:
            self.child.kill()
        self.generations.leave()
        for claimed in self.turns.values():
            turn = claimed.turn
            with self._bearing_with_database():
                if claimed.end is not None:
                    self._end(claimed)
                else:
                    conversations.release_turn(turn.id, turn.attempt)
        self._note(f"the service leaves, {len(self.turns)} turns given back")

    def _note(self, what: str) -> None:
        self.log.write(f"--- {time.strftime('%F %T%z')} {what}\n".encode())
        self.log.flush()


def _request(claimed: _Claimed, checkpoint: Checkpoint) -> ReplyRequest:
    """Return what the child is told. Raise PipelineError where the base is not there."""
    base = artifacts.checkpoint_folder(artifacts.base_of(checkpoint))
    artifacts.check_base(base)
    return ReplyRequest(
        id=claimed.name,
        base_path=str(base),
        adapter_path=artifacts.adapter_folder(checkpoint),
        messages=[{"role": m["role"], "content": m["content"]} for m in claimed.turn.messages],
        seeds=random.sample(range(2**31), 2),
        temperature=TEMPERATURE,
        top_p=TOP_P,
        max_new_tokens=MAX_NEW_TOKENS,
    )
