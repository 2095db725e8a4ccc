"""What `make run` ends in: prepare the database, say where the site is, start its processes.

`python -m labelstudio_llm.start` runs the Procfile until Ctrl-C, and leaves nothing behind, not
even when it is killed with -9. With `--end-with-parent` it stops when whoever started it is killed.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import django
import honcho.manager
import honcho.process
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from honcho.environ import expand_processes, parse_procfile
from honcho.printer import Message, Printer

from labelstudio_llm import broker
from training.pipeline import orphans

STOP_SECONDS = 10
"""How long a stopping process may take before it is killed: a run saves where it is."""


BROKER = "broker.1"
"""What the others talk to while they end, so it ends last."""


END_WITH_PARENT = "--end-with-parent"
ENDED_BY_CTRL_C = 130


class Process(honcho.process.Process):
    """Reads what one program prints, in a process of its own between the launcher and the program.

    It is killed when the launcher is, and the program when it is.
    """

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Start the program and hand on what it prints until it ends."""
        launcher = multiprocessing.parent_process()
        assert launcher is not None
        assert launcher.pid is not None
        orphans.end_with(launcher.pid, before=self._kill_program)
        ask_to_end = orphans.ending_with(os.getpid())
        self._child_ctor = partial(honcho.process.Popen, preexec_fn=ask_to_end)
        super().run(events, ignore_signals)

    def _kill_program(self) -> None:
        if self._child is not None:
            os.killpg(self._child.pid, signal.SIGKILL)


class TerminalPrinter(Printer):
    """Stops everything when nobody reads the output any more, as in `make run | head`."""

    def write(self, message: Message) -> None:
        """Print one line."""
        try:
            super().write(message)
        except OSError:
            stop_silently()


class ProcessManager(honcho.manager.Manager):
    """Stops the broker after those that use it, and asks each program alone, not its children.

    A worker whose broker is gone prints a page of errors and waits for it instead of ending. A
    worker's pool must not be asked: the worker lets it finish what it does.
    """

    _terminating: bool

    def __init__(self, printer: Printer) -> None:
        super().__init__(printer)
        self._process_ctor = Process

    def _any_stopped(self) -> bool:
        """Return whether a program has ended; one whose reader was killed can't tell it."""
        for process in self._processes.values():
            if not process["process"].is_alive() and "pid" in process:
                process.setdefault("returncode", -signal.SIGKILL)
        return bool(super()._any_stopped())

    def terminate(self) -> None:
        """Ask everything to end, in order. Return at once; the loop waits and prints."""
        if self._terminating:
            return
        self._terminating = True
        self._system_print(f"Stopping; a run saves where it is. At most {STOP_SECONDS} seconds.\n")
        for name in self._processes:
            if name != BROKER:
                self._ask_to_end(name)
        threading.Thread(target=self._end_broker_last, daemon=True).start()

    def _end_broker_last(self) -> None:
        others = [process for name, process in self._processes.items() if name != BROKER]
        while any("returncode" not in process for process in others):
            time.sleep(0.05)
        self._ask_to_end(BROKER)

    def _ask_to_end(self, name: str) -> None:
        process = self._processes[name]
        if "returncode" not in process and "pid" in process:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(process["pid"], signal.SIGTERM)


def refuse_taken_port(host: str, port: int) -> None:
    """Stop with a sentence when another program listens where the site would."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                sys.exit(
                    f"Port {port} is taken by another program. Stop it, or choose another port: "
                    f"make run PORT={port + 1}"
                )
            sys.exit(f"Cannot listen on {host}:{port}: {error.strerror}. Check BIND and PORT.")


def stop_with_the_terminal(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does when the terminal is closed."""
    stop_silently()


def stop_silently() -> None:
    """End as Ctrl-C does, when nobody reads the output any more."""
    # Writing to it would fail half-way through the stop.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.kill(os.getpid(), signal.SIGTERM)


def run_processes(port: int) -> None:
    """Run the Procfile until something ends it; exit as that did. Ctrl-C is no failure."""
    procfile = parse_procfile(Path("Procfile").read_text(encoding="utf-8"))
    manager = ProcessManager(TerminalPrinter(sys.stdout))
    for process in expand_processes(procfile.processes, port=port):
        manager.add_process(process.name, process.cmd, env={**os.environ, **process.env})
    manager.loop()
    sys.exit(0 if manager.returncode == ENDED_BY_CTRL_C else manager.returncode)


def main() -> None:
    """Prepare and start everything; return when it has stopped."""
    if END_WITH_PARENT in sys.argv[1:]:
        orphans.end_with(os.getppid(), signal.SIGTERM)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    host, port = os.environ.get("BIND") or "127.0.0.1", int(os.environ.get("PORT") or 8000)
    refuse_taken_port(host, port)
    call_command("migrate", verbosity=0)
    print(f"\n  http://localhost:{port}\n", flush=True)
    if settings.DEMO:
        call_command("seed_demo")
    print("\n  Ctrl-C stops everything.\n", flush=True)

    signal.signal(signal.SIGHUP, stop_with_the_terminal)
    # The Procfile names its programs plainly: they are those of this virtual environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONUNBUFFERED"] = "1"
    # A run that is slower than this goes on from its last resume point at the next start.
    os.environ.setdefault("RUN_SHUTDOWN_SECONDS", str(STOP_SECONDS - 4))
    honcho.manager.KILL_WAIT = STOP_SECONDS
    os.chdir(settings.BASE_DIR)
    try:
        run_processes(port)
    finally:
        broker.remove_socket_folder(settings.BROKER_DIR)


if __name__ == "__main__":
    main()
