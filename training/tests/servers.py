"""Real HTTP servers on this machine that answer as a test wants it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Does what the server's script says next; the last act of it is done again and again."""

    server: ScriptedServer

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        raw = self.rfile.read(length)
        self.body = body = json.loads(raw)
        with self.server.lock:
            self.server.bodies.append(raw)
            self.server.asked.append({"path": self.path, "headers": dict(self.headers), **body})
            script = self.server.script
            act = script.pop(0) if len(script) > 1 else script[0]
        # the one who asked may hang up
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            act(self)

    def log_message(self, *_: Any) -> None:
        pass


class ScriptedServer(ThreadingHTTPServer):
    """A server and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.script: list[Act] = [says("old pond")]
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def serving() -> Iterator[ScriptedServer]:
    """Run a server in a thread of its own."""
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sends(status: int, body: Any, kind: str = "application/json", **headers: str) -> Act:
    """Return an act that sends a whole response."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def act(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return act


def says(text: Any, **changes: Any) -> Act:
    """Return an act that answers as an OpenAI-compatible server does."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"completion_tokens": 2}
    return sends(200, {"model": "llama-9", "choices": [choice], "usage": usage, **changes})


def echoes(handler: Handler) -> None:
    """Answer with the prompt and the seed, which tells answers apart."""
    asked = handler.body
    says(f"{asked['messages'][-1]['content']} {asked['seed']}")(handler)


def hangs(handler: Handler) -> None:
    time.sleep(5)


def drips(handler: Handler) -> None:
    """Send a byte now and then, so that no single wait is long."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def floods(handler: Handler) -> None:
    """Send 100 MB."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"[" * 2**20)


def chunk(text: str | None, **changes: Any) -> dict[str, Any]:
    """Return a chunk of an answer as OpenAI streams it."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **changes}
    return {"model": "llama-9", "choices": [choice]}


def streams(*events: Any, pause: float = 0.0) -> Act:
    """Return an act that sends events, each a text of the answer or what is to be sent as it is."""

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.end_headers()
        for event in events:
            values = chunk(event) if isinstance(event, str) else event
            line = event if isinstance(event, bytes) else f"data: {json.dumps(values)}\n\n".encode()
            handler.wfile.write(line)
            handler.wfile.flush()
            time.sleep(pause)

    return act


DONE = b"data: [DONE]\n\n"
ENDED = (
    chunk(None, finish_reason="stop"),
    {"choices": [], "usage": {"completion_tokens": 3}},
    DONE,
)
"""What ends a stream."""
