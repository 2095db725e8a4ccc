"""Processes that end with the one that started them, even when that is killed with -9.

Whoever is killed can't take its children along, so each child asks for it. On Linux the kernel does
it, at once and whatever the child is busy with; elsewhere a thread looks for the parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # here, because nothing may be loaded between fork and exec
WATCH_SECONDS = 1.0


def end_with(
    parent: int,
    number: signal.Signals = signal.SIGKILL,
    *,
    before: Callable[[], None] = lambda: None,
) -> None:
    """Have this process get a signal when `parent`, which started it, has ended.

    Call it from the main thread. `before` is called first where a thread does it.
    """
    if sys.platform == "linux":
        _ask_kernel(parent, number)
    else:
        threading.Thread(target=_watch, args=(parent, number, before), daemon=True).start()


def ending_with(parent: int) -> Callable[[], None]:
    """Return what a child does between fork and exec to be killed when `parent` dies.

    The kernel alone can keep that through an exec; elsewhere it does nothing.
    """

    def prepare() -> None:
        if sys.platform == "linux":
            _ask_kernel(parent, signal.SIGKILL)

    return prepare


def _ask_kernel(parent: int, number: signal.Signals) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before that
        os._exit(1)


def _watch(parent: int, number: signal.Signals, before: Callable[[], None]) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    before()
    os.kill(os.getpid(), number)
