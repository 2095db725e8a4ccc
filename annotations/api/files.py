"""A file as the body of a request: read once, piece by piece, and kept aside meanwhile.

It is the file itself and no form, so that every language sends it with what it has, and nothing of
it is ever whole in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.conf import settings
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from annotations.api.problems import Problem

MEDIA_TYPE = "application/octet-stream"
PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Received:
    """A file that arrived in full; it may be moved from where it lies."""

    path: Path
    sha256: str


@contextmanager
def received(request: HttpRequest, *, largest: int) -> Iterator[Received]:
    """Read the body of a request into a file, which is gone afterwards, if it was not moved."""
    if request.content_type != MEDIA_TYPE:
        raise Problem("wrong-media-type", f"Send the file itself, with Content-Type: {MEDIA_TYPE}.")
    length = _length(request)
    if length > largest:
        raise Problem("too-large", f"A file may have {largest:,} bytes, and this has {length:,}.")
    digest, size = hashlib.sha256(), 0
    with NamedTemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR, delete=False) as file:
        path = Path(file.name)
    try:
        with path.open("wb") as file:
            try:
                while piece := request.read(PIECE_BYTES):
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
            except UnreadablePostError:
                size = -1
        if size != length:
            raise Problem("malformed", "The file did not arrive in full. Send it again.")
        yield Received(path, digest.hexdigest())
    finally:
        path.unlink(missing_ok=True)


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield a file piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _length(request: HttpRequest) -> int:
    """Return how long the body is said to be: without that, half a file looks like a whole one."""
    said = request.headers.get("Content-Length") or "0"
    if not said.isdecimal() or "Transfer-Encoding" in request.headers:
        raise Problem("malformed", "Say how long the file is, with Content-Length, not in chunks.")
    return int(said)
