"""A Hugging Face hub on this machine: the few addresses that a push asks, and what lies there."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_sesame"


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_POST(self) -> None:
        content = self._content()
        self.server.asked.append(self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            self.server.repos.append(json.loads(content))
            self._answer({"url": f"{self.server.url}/alice/haiku"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self._answer({"files": [_mode(one) for one in json.loads(content)["files"]]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            self._answer(self._batch(json.loads(content)["objects"]))
        elif "/commit/" in self.path:
            self._commit([json.loads(line) for line in content.splitlines()])
        elif "/paths-info/" in self.path:
            self._answer([self._info(path) for path in self.server.files])
        else:
            self._answer({"error": f"Nobody is prepared for {self.path}."}, 404)

    def do_PUT(self) -> None:
        oid = self.path.rpartition("/")[2]
        self.server.large[oid] = self._content()
        self._answer({})

    def log_message(self, *_: Any) -> None:
        pass

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, values: Any, status: int = 200) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _batch(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        upload = f"{self.server.url}/upload"
        return {
            "transfer": "basic",
            "objects": [
                {**one, "actions": {"upload": {"href": f"{upload}/{one['oid']}"}}}
                for one in objects
            ],
        }

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.large[value["oid"]]
        oid = "c0ffee" * 6 + "cafe"
        url = f"{self.server.url}/alice/haiku/commit/{oid}"
        self._answer({"success": True, "commitUrl": url, "commitOid": oid})

    def _info(self, path: str) -> dict[str, Any]:
        content = self.server.damage(path, self.server.files[path])
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        info = {"type": "file", "path": path, "size": len(content), "oid": blob.hexdigest()}
        if _is_large(path):
            sha256 = hashlib.sha256(content).hexdigest()
            info["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 100}
        return info


class FakeHub(ThreadingHTTPServer):
    """A hub, what it was asked, and the files of its only repository."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.repos: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.damaged = ""
        """The file that it does not keep as it came."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def damage(self, path: str, content: bytes) -> bytes:
        return content[:-1] + b"!" if path == self.damaged else content


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run a hub in a thread of its own."""
    hub = FakeHub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def _mode(asked: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if _is_large(asked["path"]) else "regular"
    return {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False}


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")
