"""Start the child process of a run, relay its events, stop it. Knows processes, not models.

The child (`python -m training.pipeline JOB.json`) says one JSON object per line on stdout; what
it writes to stderr goes to `log.txt` in the job's work folder. A resident child
(`python -m training.pipeline.serve`) is told its requests on stdin, one JSON object per line. A
child lives in a process group of its own and dies with the process that started it, even when that
is killed with -9. So a killed worker leaves no GPU taken, and a killed child is only a failed
attempt.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, Literal

from training import tracing
from training.pipeline import orphans

Event = dict[str, Any]
StopReason = Literal["cancel", "superseded", "shutdown", "limit"]

COMMAND = (sys.executable, "-m", "training.pipeline")
STOPPED_ON_REQUEST = 75
"""Exit status (EX_TEMPFAIL) of a child that saved a resume point because it was asked to stop."""
LOG = "log.txt"
POLL_S = 1.0
GRACE_S: dict[StopReason, float] = {"cancel": 30, "shutdown": 20, "limit": 30, "superseded": 0}
CANCEL_SILENCE_S = 8
"""A cancelled child that reports nothing for so long is killed before its grace is over."""
LONGEST_LINE = 8 * 2**20
NICENESS_OF_RUNS = 5
"""On a machine that serves pages, too, whoever waits for one goes before a run."""
KEPT_FROM_CHILD = (
    *("SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "REDIS_URL"),
    *("METRICS_TOKEN", "SENTRY_DSN", "PUSH_HUB_TOKEN"),
)
"""Settings of the platform that a training process has no use for."""

_worker_ends = mmap.mmap(-1, 1)
"""Shared with the pool processes forked from this one: the worker's main process sets it."""
_terminated = threading.Event()
"""This process alone got SIGTERM."""


@dataclass(frozen=True)
class Outcome:
    """How a child ended."""

    ending: Literal["done", "stopped", "error", "killed", "vanished"]
    """Vanished: it exited without a last word and without a signal."""
    stop: StopReason | None = None
    """Why it was asked to stop, if it was."""
    exit_code: int | None = None
    results: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    message: str = ""
    expected: bool = False
    detail: str = ""
    change: dict[str, Any] = field(default_factory=dict)
    """Settings that would mend it, as the child says."""

    @property
    def signal_name(self) -> str:
        """Return the name of the signal that killed the child, or an empty string."""
        if self.exit_code is None or self.exit_code >= 0:
            return ""
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.exit_code).name
        return f"signal {-self.exit_code}"


def announce_shutdown(**_signal: Any) -> None:
    """Tell this process and the pool processes forked from it that the worker is to end."""
    _worker_ends[0] = 1


def announce_on_signal(number: signal.Signals) -> None:
    """Announce the shutdown when this process gets the signal, then do what it did before."""
    main, earlier = os.getpid(), signal.getsignal(number)

    def announce(received: int, frame: FrameType | None) -> None:
        if os.getpid() == main:  # pool processes inherit this handler
            announce_shutdown()
        if callable(earlier):
            earlier(received, frame)

    signal.signal(number, announce)


def forget_shutdown() -> None:
    """Take an announcement back (a process that lives on, as in tests)."""
    _worker_ends[0] = 0


def is_shutting_down() -> bool:
    """Return whether this process or its worker is to end."""
    return bool(_worker_ends[0]) or _terminated.is_set()


def run_child(
    job: Mapping[str, Any],
    *,
    on_event: Callable[[Event], bool],
    should_stop: Callable[[], StopReason | None],
    command: Sequence[str] = COMMAND,
    name: str = "job",
    limit_s: float | None = None,
    shutdown_s: float = GRACE_S["shutdown"],
    secrets: Mapping[str, str] | None = None,
) -> Outcome:
    """Run one child to its end and return how it ended.

    `on_event` returns False when the attempt was superseded; `should_stop` is asked every second.
    A worker that is to end lets the child save for `shutdown_s` seconds. `secrets` reach the child
    through its environment alone: the job lies on the disk.
    Call it from the main thread: the parent-death signal follows the thread that forked.
    """
    work_dir = Path(job["work_dir"])
    work_dir.mkdir(parents=True, exist_ok=True)
    end_earlier_child(work_dir)
    job_file = work_dir / f"{name}.json"
    job_file.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
    # Without a buffer: what a full disk refused would be refused again when the file is closed.
    with (work_dir / LOG).open("ab", buffering=0) as log, termination_as_shutdown():
        child = Child(
            [*command, str(job_file)],
            work_dir,
            log,
            on_event,
            secrets=secrets,
            niceness=NICENESS_OF_RUNS,
        )
        child.grace_s["shutdown"] = shutdown_s
        try:
            return child.watch(should_stop, limit_s)
        finally:
            child.end()


class Child:
    """One child process from start to end. It says events, and may be told things."""

    def __init__(
        self,
        command: Sequence[str],
        work_dir: Path,
        log: IO[bytes],
        on_event: Callable[[Event], bool],
        *,
        takes_input: bool = False,
        secrets: Mapping[str, str] | None = None,
        niceness: int = 0,
    ) -> None:
        self.log = log
        self.on_event = on_event
        self.last_word: Event = {}
        self.stop: StopReason | None = None
        self.stop_asked_at = self.last_news_at = self.started_at = time.monotonic()
        self.heard_at = self.started_at
        self.grace_s = dict(GRACE_S)
        self.killed_by_us = False
        self._rest = b""
        self._untold = b""
        belongs_to = f" ({words})" if (words := tracing.in_words()) else ""
        start = f"--- {time.strftime('%F %T%z')} {work_dir.name}: start{belongs_to}\n"
        self._note(start.encode())
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=Path(__file__).resolve().parent.parent,
            env={**_environment(), **(secrets or {})},
            start_new_session=True,
            preexec_fn=_before_exec(os.getpid(), niceness),
        )
        if self.process.stdin is not None:
            os.set_blocking(self.process.stdin.fileno(), False)
        try:
            _remember(work_dir, self.process.pid)
        except BaseException:
            self.end()
            raise

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send one line of JSON, as soon as the child takes it: a hung one holds up nobody."""
        self._untold += json.dumps(message, ensure_ascii=False).encode() + b"\n"

    def read(self, timeout: float) -> bool:
        """Relay what the child wrote by now; return whether there was anything."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        talking = [self.process.stdin] if self.process.stdin and self._untold else []
        readable, writable, _ = select.select([descriptor], talking, [], timeout)
        if writable:
            self._send()
        if not readable:
            return False
        chunk = os.read(descriptor, 65536)
        if not chunk:
            time.sleep(timeout)  # stdout was closed early; only the exit is left to wait for
            return False
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._relay(line)
        return True

    def read_the_rest(self) -> None:
        """Relay what a child that has ended left unread."""
        while self.read(timeout=0):
            pass
        self._relay(self._rest)
        self._rest = b""

    def watch(self, should_stop: Callable[[], StopReason | None], limit_s: float | None) -> Outcome:
        """Relay events until the child has ended; return how."""
        next_poll = 0.0
        while not self.has_exited():
            self.read(timeout=0.2)
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + POLL_S
                if self.stop is None:
                    overdue = limit_s is not None and now - self.started_at > limit_s
                    reason = should_stop() or ("shutdown" if is_shutting_down() else None)
                    self._ask_to_stop(reason or ("limit" if overdue else None))
            self._insist(now)
        self.read_the_rest()
        return self._outcome()

    def kill(self) -> None:
        """Kill the child, relay what it left unread, and reap it."""
        self._signal(signal.SIGKILL)
        while not self.has_exited():
            self.read(timeout=0.05)
        self.read_the_rest()
        self.end()

    def end(self) -> None:
        """Kill whatever is left of the process group and reap the child."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # not reaped yet, so the id is still ours
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def has_exited(self) -> bool:
        """Return whether the child ended, without reaping it: its group id must stay taken."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def _send(self) -> None:
        assert self.process.stdin is not None
        try:
            sent = os.write(self.process.stdin.fileno(), self._untold)
        except BrokenPipeError:  # it has closed its input or is dead, which its exit tells
            sent = len(self._untold)
        self._untold = self._untold[sent:]

    def _relay(self, line: bytes) -> None:
        """Hand an event on. Whatever is not an event goes to the log: libraries print, too."""
        if not line.strip():
            return
        event = _parse(line)
        if event is None:
            self._note(line[:10_000] + b"\n")
            return
        # Of several processes one may stop because another failed: the failure counts.
        failed = self.last_word.get("event") == "error"
        if event["event"] in ("done", "stopped", "error") and not failed:
            self.last_word = event
        self.heard_at = time.monotonic()
        if event["event"] != "heartbeat":
            self.last_news_at = self.heard_at
        if not self.on_event(event) and self.stop != "superseded":
            self._ask_to_stop("superseded")

    def _note(self, line: bytes) -> None:
        """Write a line into the log. A full disk takes the line, not the run."""
        with contextlib.suppress(OSError):
            self.log.write(line)
            self.log.flush()

    def _ask_to_stop(self, reason: StopReason | None) -> None:
        if reason is None:
            return
        self.stop = reason
        self.stop_asked_at = self.last_news_at = time.monotonic()
        self._signal(signal.SIGKILL if reason == "superseded" else signal.SIGTERM)

    def _insist(self, now: float) -> None:
        """Kill a child that was asked to stop and does not."""
        if self.stop is None or self.killed_by_us:
            return
        silent = self.stop == "cancel" and now - self.last_news_at > CANCEL_SILENCE_S
        if silent or now - self.stop_asked_at > self.grace_s[self.stop]:
            self.killed_by_us = True
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _outcome(self) -> Outcome:
        self.end()
        code, word = self.process.returncode, self.last_word
        kind = word.get("event")
        if kind == "done" and code == 0:
            results = word.get("results")
            return Outcome(
                "done",
                self.stop,
                code,
                results=results if isinstance(results, dict) else {},
                output=str(word.get("output", "")),
            )
        if kind == "error" and code >= 0:
            return Outcome(
                "error",
                self.stop,
                code,
                message=str(word.get("message", "")),
                expected=word.get("expected") is True,
                detail=str(word.get("detail", "")),
                change=word["change"] if isinstance(word.get("change"), dict) else {},
            )
        if code < 0:
            return Outcome("killed", self.stop, code)
        asked = kind == "stopped" and self.stop is not None  # a launcher has a status of its own
        if code == STOPPED_ON_REQUEST or asked:
            return Outcome("stopped", self.stop, code)
        return Outcome("vanished", self.stop, code)


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and isinstance(event.get("event"), str):
        return event
    return None


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in KEPT_FROM_CHILD}
    return {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Tensors in pages of 2 MB: an update of the demo model met 4,600 new pages instead of
        # 170,000, in half the time of the kernel. Other C libraries pass it over.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        **kept,
        **tracing.environment(),
        "PYTHONUNBUFFERED": "1",
    }


def _before_exec(parent: int, niceness: int) -> Callable[[], None]:
    """Return what the child does between fork and exec.

    It asks to be killed when `parent` dies, and lets others go first on the processor. The child
    leads a session, and Linux may share the processor between sessions before it looks at
    processes; so its session is told, too.
    """
    ask_to_end = orphans.ending_with(parent)

    def prepare() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ask_to_end()
        if niceness:
            os.nice(niceness)
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")

    return prepare


@contextlib.contextmanager
def termination_as_shutdown() -> Iterator[None]:
    """Take SIGTERM of this process as the worker's shutdown while a child runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGTERM, lambda *_: _terminated.set())
    try:
        yield
    finally:
        _terminated.clear()
        signal.signal(signal.SIGTERM, earlier)


def _remember(work_dir: Path, pid: int) -> None:
    identity = {"host": socket.gethostname(), "pid": pid, "started": _started(pid)}
    (work_dir / "child.json").write_text(json.dumps(identity), encoding="utf-8")


def end_earlier_child(work_dir: Path) -> None:
    """Kill the child of an earlier attempt if it still lives on this machine.

    Its supervisor may be stopped or hung; two children must not share a work folder or a GPU.
    """
    try:
        identity = json.loads((work_dir / "child.json").read_text(encoding="utf-8"))
        pid, started = int(identity["pid"]), identity["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if identity.get("host") == socket.gethostname() and started and _started(pid) == started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _started(pid: int) -> str:
    """Return the boot and the tick at which the process started, or "": ids are used again."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot} {ticks}"
