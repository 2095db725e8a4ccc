"""Metrics as TensorBoard's event files, in the few lines that their format takes.

A file is a row of records: the length (8 bytes), a masked CRC-32C of it, the bytes, a masked
CRC-32C of them. The bytes are an `Event` of tensorflow/core/util/event.proto in protocol buffers'
encoding. torch's own writer would bring tensorboard, grpcio and protobuf for the same bytes
(docs/decisions/0002-dependencies.md).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = "tensorboard"
"""Below a run's work folder; `tensorboard --logdir` reads it."""
VERSION = "brain.Event:2"
CASTAGNOLI = 0x82F63B78
MASK = 0xA282EAD8
DOUBLE, VARINT, BYTES, FLOAT = 1, 0, 2, 5
"""Wire types of protocol buffers."""


class EventFile:
    """One file of scalars. Every write reaches the file, so that a killed run leaves its curves."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self.path.write_bytes(_record(_event(_field(3, BYTES, VERSION.encode()))))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of one step."""
        summary = b"".join(_field(1, BYTES, _scalar(*item)) for item in values.items())
        if summary:
            body = _field(2, VARINT, _varint(step)) + _field(5, BYTES, summary)
            with self.path.open("ab") as file:
                file.write(_record(_event(body)))


def read_scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield (step, name, value) of an event file that was written here, as far as it is whole."""
    content, at = path.read_bytes(), 0
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        body = content[at + 12 : at + 12 + length]
        if len(body) < length or crc32c(body) != _unmasked(content[at + 12 + length :][:4]):
            return
        fields = dict(_fields(body))
        step = int.from_bytes(fields.get(2, b""), "little")
        for _, value in _fields(fields.get(5, b"")):
            parts = dict(_fields(value))
            yield step, parts[1].decode(), struct.unpack("<f", parts[2])[0]
        at += 16 + length


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of the bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF)


def _unmasked(stored: bytes) -> int:
    rotated = (int.from_bytes(stored, "little") - MASK) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def _event(body: bytes) -> bytes:
    return _field(1, DOUBLE, struct.pack("<d", time.time())) + body


def _scalar(name: str, value: float) -> bytes:
    return _field(1, BYTES, name.encode()) + _field(2, FLOAT, struct.pack("<f", value))


def _field(number: int, kind: int, content: bytes) -> bytes:
    head = _varint(number << 3 | kind)
    return head + (_varint(len(content)) if kind == BYTES else b"") + content


def _varint(value: int) -> bytes:
    """Return a whole number in groups of seven bits, the lowest first.

    >>> _varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, content) of a message; a whole number comes as little-endian bytes."""
    at = 0
    while at < len(message):
        head, at = _read_varint(message, at)
        number, kind = head >> 3, head & 7
        if kind == VARINT:
            value, at = _read_varint(message, at)
            yield number, value.to_bytes(8, "little")
            continue
        length = {DOUBLE: 8, FLOAT: 4}.get(kind)
        if length is None:
            length, at = _read_varint(message, at)
        yield number, message[at : at + length]
        at += length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | message[at] << shift, at + 1
