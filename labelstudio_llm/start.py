"""What `make run` ends in: prepare the database, say where the site is, start its processes.

`python -m labelstudio_llm.start` runs the Procfile until Ctrl-C, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import django
import honcho.manager
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from honcho.environ import expand_processes, parse_procfile
from honcho.printer import Printer

from labelstudio_llm import broker

STOP_SECONDS = 10
"""How long a stopping process may take before it is killed: a run saves where it is."""


BROKER = "broker.1"
"""What the others talk to while they end, so it ends last."""


class ProcessManager(honcho.manager.Manager):
    """Stops the broker after those that use it, and asks each program alone, not its children.

    A worker whose broker is gone prints a page of errors and waits for it instead of ending. A
    worker's pool must not be asked: the worker lets it finish what it does.
    """

    _terminating: bool

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
    # Nobody reads the output any more, and writing to it would fail half-way through the stop.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.kill(os.getpid(), signal.SIGTERM)


def run_processes(port: int) -> None:
    """Run the Procfile until something ends it; exit as that did."""
    procfile = parse_procfile(Path("Procfile").read_text(encoding="utf-8"))
    manager = ProcessManager(Printer(sys.stdout))
    for process in expand_processes(procfile.processes, port=port):
        manager.add_process(process.name, process.cmd, env={**os.environ, **process.env})
    manager.loop()
    sys.exit(manager.returncode)


def main() -> None:
    """Prepare and start everything; return when it has stopped."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")
    host, port = os.environ.get("BIND") or "127.0.0.1", int(os.environ.get("PORT") or 8000)
    refuse_taken_port(host, port)
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
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
