"""A line between two programs that can be cut, and one that swallows what is sent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

CHUNK = 65_536

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


def _socket_for(address: Address) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)


class Line:
    """Passes bytes between those who connect to `listens` and `target`."""

    def __init__(self, listens: Address, target: Callable[[], Address]) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._guard = threading.Lock()
        self._door = _socket_for(listens)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._door.bind(listens)
        self._door.listen(128)
        self.address: Address = self._door.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and refuse new ones."""
        self._is_cut = True
        self._close_all()

    def hang(self) -> None:
        """Pass nothing on, without telling anybody."""
        self._flows.clear()

    def mend(self) -> None:
        """Let everything through again; what hung arrives late."""
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        self.cut()
        self._flows.set()
        self._door.close()

    def _close_all(self) -> None:
        with self._guard:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _end(*pair)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._flows.wait()
        far = _socket_for(target := self._target())
        try:
            if self._is_cut:
                raise ConnectionRefusedError
            far.connect(target)
        except OSError:
            _end(near, far)
            return
        with self._guard:
            self._pairs.add((near, far))
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side is gone: so is the other
            while chunk := source.recv(CHUNK):
                self._flows.wait()
                sink.sendall(chunk)
        _end(source, sink)
        with self._guard:
            self._pairs -= {(source, sink), (sink, source)}


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):  # never connected, or closed by the other thread
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def wait_for(address: Address, seconds: float) -> None:
    """Return when somebody listens there."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.closing(_socket_for(address)) as probe:
            try:
                probe.settimeout(1)
                probe.connect(address)
            except OSError:
                if time.monotonic() > end:
                    raise
            else:
                return
        time.sleep(0.05)
