"""A Hugging Face hub on this machine: the addresses that pushes and fetches ask, and what is there.

It speaks the hub's older protocol for large files.
"""

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
COMMIT = "c0ffee" * 6 + "cafe"


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

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and "/".join(parts[2:4]) == self.server.gives:
            infos = [self._info(name) | {"rfilename": name} for name in self.server.files]
            told = [one | {"blobId": one["oid"]} | _told_of_large(one) for one in infos]
            self._answer({"id": self.server.gives, "sha": COMMIT, "siblings": told})
        elif "/".join(parts[:2]) == self.server.gives and parts[2:4] == ["resolve", COMMIT]:
            self._give(parts[4])
        else:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _give(self, name: str) -> None:
        """Hand out a file, or what of it is still wanted; break off in the middle where told so."""
        content = self.server.files[name]
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if name == self.server.breaks_off:
            self.server.breaks_off = ""
            self.wfile.write(content[start : len(content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(self.server.damage(name, content)[start:])

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

    def _answer(
        self, values: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
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
        url = f"{self.server.url}/alice/haiku/commit/{COMMIT}"
        self._answer({"success": True, "commitUrl": url, "commitOid": COMMIT})

    def _info(self, path: str) -> dict[str, Any]:
        content = self.server.files[path]
        if not self.server.gives:
            content = self.server.damage(path, content)
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
        self.gives = ""
        """The repository that may be read."""
        self.breaks_off = ""
        """The file of which it gives one half, the first time."""
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


def _told_of_large(info: dict[str, Any]) -> dict[str, Any]:
    """Return what a listing says of a large file: its hash has another name there."""
    return {"lfs": {**info["lfs"], "sha256": info["lfs"]["oid"]}} if "lfs" in info else {}


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")
