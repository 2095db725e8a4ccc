"""How a file holds its rows: lines, one array of JSON, CSV, Parquet, an Arrow data set.

Rows are read one after the other, so that a file may be larger than memory, and from any place
between two of them, so that reading goes on where it stopped. A row that cannot be read comes as
what is wrong with it.
"""

from __future__ import annotations

import csv
import math
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from annotations.importers.parsing import MAX_INTEGER, decoded, parse_object, separator_of
from annotations.importers.rows import BadLine

CONTAINERS = {
    "jsonl": "lines of JSON",
    "json": "one array of JSON",
    "csv": "CSV",
    "parquet": "Parquet",
    "arrow": "a data set saved by Hugging Face datasets",
}
MAX_ROW_BYTES = 8 * 1024 * 1024
MAX_ARROW_BYTES = 4 * 1024**3
"""An Arrow file inside a ZIP: it is read as a stream, and no more of it than this is unpacked."""
MAX_BATCH_BYTES = 256 * 1024**2
"""Of an Arrow file at once: a batch is read as a whole, and may be packed to nearly nothing."""
ENCRYPTED = 1
"""Of the flags of a file in a ZIP."""
CHUNK_BYTES = 256 * 1024
BATCH_ROWS = 16
"""Of a table at once: a text that is there once in a Parquet file may stand in every row."""
SPLIT_ORDER = ("train", "validation", "test")

PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7-Zip",
}
"""How packed files begin."""

_OUTSIDE = re.compile(rb'(?s)(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+(["{}\[\]])')
"""Up to the next bracket, or the quote of a text whose end has not been read yet."""
_INSIDE = re.compile(rb'[^"\\]*+(["\\])')
_BETWEEN = re.compile(rb"[\s,]*\Z")


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Between two rows: how many were read, the line of the next, and its byte."""

    rows: int = 0
    line: int = 1
    offset: int = 0


@dataclass(frozen=True)
class Row:
    """A row, or what is wrong with it; the line it begins on, and the place behind it."""

    line: int
    value: dict[str, Any] | BadLine
    after: Place


def recognise_container(path: Path) -> str:
    """Return how a file holds its rows, by what is in it."""
    if path.is_dir():
        return "arrow"
    with path.open("rb") as file:
        head = file.read(CHUNK_BYTES)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "arrow"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if packed := next((name for begin, name in PACKED.items() if head.startswith(begin)), None):
        raise UnreadableFile(
            f"This file is packed by {packed}. Unpack it and choose what is in it."
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableFile("This file is UTF-16. Save it as UTF-8 and choose it again.")
    if b"\x00" in head:
        raise UnreadableFile(
            "This is none of the files that are read here: JSONL, JSON, CSV, Parquet, or a data "
            "set saved by Hugging Face datasets."
        )
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return "json"
    if start.split(b"\n", 1)[0].rstrip() == b"{":
        raise UnreadableFile(
            "This is one JSON object over many lines. Write each row on a line of its own, or all "
            "of them into one array: [ … ]."
        )
    if start.startswith(b"{"):
        return "jsonl"
    if b"\r" in start and b"\n" not in head:
        raise UnreadableFile(
            "Its lines end with carriage returns alone, as on old Macs. Save it with line feeds "
            "(in Excel: CSV UTF-8) and choose it again."
        )
    return "csv"


def read_rows(path: Path, container: str, start: Place | None = None) -> Iterator[Row]:
    """Yield the rows of a file from a place on. Raise UnreadableFile if it is of another kind."""
    start = start or Place()
    match container:
        case "jsonl":
            return _read_lines(path, start)
        case "json":
            return _read_array(path, start)
        case "csv":
            return _read_csv(path, start)
        case "parquet":
            return _read_parquet(path, start)
        case "arrow":
            return _read_arrow(path, start)
    raise ValueError(f"{container!r} is none of {', '.join(CONTAINERS)}.")


def _value(text: str | bytes) -> dict[str, Any] | BadLine:
    try:
        return parse_object(decoded(text, most=MAX_ROW_BYTES))
    except BadLine as error:
        return error


def _read_lines(path: Path, start: Place) -> Iterator[Row]:
    with path.open("rb") as file:
        file.seek(start.offset)
        rows, line, offset = start.rows, start.line, start.offset
        while raw := file.readline(MAX_ROW_BYTES + 1):
            offset += len(raw)
            rest = raw
            while len(rest) > MAX_ROW_BYTES and not rest.endswith(b"\n"):
                rest = file.readline(MAX_ROW_BYTES + 1)
                offset += len(rest)
            text = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
            if text.strip():
                rows += 1
                yield Row(line, _value(text), Place(rows, line + 1, offset))
            line += 1


def _read_array(path: Path, start: Place) -> Iterator[Row]:
    """Yield the elements of an array without ever holding more than one of them."""
    with path.open("rb") as file:
        file.seek(start.offset)
        yield from _Elements(file, start).read()


class _Elements:
    """Where in an array reading is. Only brackets and quotes are looked at, the rest is JSON's."""

    def __init__(self, file: IO[bytes], start: Place) -> None:
        self.file = file
        self.rows, self.line, self.offset = start.rows, start.line, start.offset
        self.data = bytearray()
        self.depth, self.quoted, self.too_long = 1 if start.offset else 0, False, False

    def read(self) -> Iterator[Row]:
        at = 0
        while chunk := self.file.read(CHUNK_BYTES):
            self.data += chunk
            while found := (_INSIDE if self.quoted else _OUTSIDE).match(self.data, at):
                at = found.end()
                mark = found[1]
                if self.quoted:
                    if mark == b"\\" and at == len(self.data):
                        at -= 1  # what is escaped comes with the next chunk
                        break
                    at += mark == b"\\"
                    self.quoted = mark == b"\\"
                elif mark == b'"':
                    self.quoted = True
                elif mark in b"{[":
                    self.depth += 1
                    if self.depth == 1:
                        at = self._drop(at)
                else:
                    self.depth -= 1
                    if self.depth == 1:
                        yield self._element(at)
                        at = 0
                    elif self.depth == 0:
                        yield from self._end(at)
                        return
            else:
                at = len(self.data)
            if self.depth > 1 and len(self.data) > MAX_ROW_BYTES:
                self.too_long = True
                at = self._drop(at)
        begun = self.line + _blank_lines(bytes(self.data))
        yield self._bad("The file ends in the middle. Was it cut off? Export it again.", begun)

    def _element(self, end: int) -> Row:
        raw = bytes(self.data[:end])
        begin = self.line + _blank_lines(raw)
        self._drop(end)
        self.rows += 1
        value: dict[str, Any] | BadLine
        if self.too_long:
            value = BadLine(f"It is longer than {MAX_ROW_BYTES:,} bytes. Shorten it.")
            self.too_long = False
        else:
            value = _value(raw.lstrip(b" \t\r\n,"))
        return Row(begin, value, self._place())

    def _end(self, end: int) -> Iterator[Row]:
        before = bytes(self.data[: end - 1])
        rest = bytes(self.data[end:]) + self.file.read(CHUNK_BYTES)
        line = self.line + _blank_lines(before)
        line_of_rest = self.line + self.data.count(b"\n", 0, end) + _blank_lines(rest)
        self._drop(len(self.data))
        if not _BETWEEN.match(before):
            yield self._bad("An element of the array is no object.", line)
        if rest.strip():
            yield self._bad("Something follows the array. Put everything into one.", line_of_rest)

    def _bad(self, message: str, line: int) -> Row:
        self.rows += 1
        return Row(line, BadLine(message), self._place())

    def _drop(self, count: int) -> int:
        self.line += self.data.count(b"\n", 0, count)
        self.offset += count
        del self.data[:count]
        return 0

    def _place(self) -> Place:
        return Place(self.rows, self.line, self.offset)


def _blank_lines(raw: bytes) -> int:
    """Return how many lines end before the first thing that stands in some part of an array."""
    return raw[: len(raw) - len(raw.lstrip(b" \t\r\n,"))].count(b"\n")


def _read_csv(path: Path, start: Place) -> Iterator[Row]:
    """Yield records; a quoted field may run over several lines."""
    with path.open("rb") as file:
        lines = _CountedLines(file)
        delimiter = _delimiter(path)
        header = _header(lines, delimiter)
        if start.offset:
            lines.go_to(start)
        rows = start.rows
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            line = lines.line
            value: dict[str, Any] | BadLine
            try:
                record = next(reader)
                if not any(cell.strip() for cell in record):
                    continue
            except StopIteration:
                return
            except (csv.Error, BadLine) as error:
                value = _not_csv(error, lines.line) if isinstance(error, csv.Error) else error
                # What it had begun to read is gone; the next record begins on the next line.
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
            else:
                value = _named(header, record)
            rows += 1
            yield Row(line, value, Place(rows, lines.line, lines.offset))


def _not_csv(error: csv.Error, line: int) -> BadLine:
    if "field limit" in str(error) or "unexpected end" in str(error):
        return BadLine(
            f"A quote is opened and not closed. All up to line {line - 1:,} was taken for one "
            "field and is lost. Close the quote, or write it twice."
        )
    return BadLine(f"Not CSV: {error}.")


class _CountedLines:
    """The lines of a file as text, and where it is."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.line, self.offset = 1, 0

    def __iter__(self) -> _CountedLines:
        return self

    def __next__(self) -> str:
        raw = self.file.readline(MAX_ROW_BYTES + 1)
        if not raw:
            raise StopIteration
        first = self.line == 1
        self.offset += len(raw)
        self.line += 1
        return decoded(raw.removeprefix(b"\xef\xbb\xbf") if first else raw, most=MAX_ROW_BYTES)

    def go_to(self, place: Place) -> None:
        self.file.seek(place.offset)
        self.line, self.offset = place.line, place.offset


def _delimiter(path: Path) -> str:
    with path.open("rb") as file:
        return separator_of(file.readline(CHUNK_BYTES).decode("utf-8", "replace"))


def _header(lines: _CountedLines, delimiter: str) -> list[str]:
    try:
        cells = [cell.strip() for cell in next(csv.reader(lines, delimiter=delimiter))]
    except (StopIteration, csv.Error, BadLine) as error:
        raise UnreadableFile(f"The first line has to name the columns. {error}".strip()) from None
    # Pandas leaves the column of its index without a name, spreadsheets empty ones at the end.
    names = [cell or f"column {number}" for number, cell in enumerate(cells, start=1)]
    if not any(cells) or len(set(names)) < len(names):
        raise UnreadableFile(
            "The first line has to name the columns, each by a name of its own. Is this CSV?"
        )
    return names


def _named(header: list[str], record: list[str]) -> dict[str, Any] | BadLine:
    if len(record) != len(header):
        return BadLine(f"There are {len(record)} fields, and the first line names {len(header)}.")
    return dict(zip(header, record, strict=True))


def _read_parquet(path: Path, start: Place) -> Iterator[Row]:
    # Only who imports such a file pays for the library.
    from pyarrow import parquet

    with _whole("Parquet file"), parquet.ParquetFile(path) as file:
        before = 0
        for group in range(file.metadata.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if before + size > start.rows:
                batches = file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group])
                yield from _read_batches(batches, before, start.rows)
            before += size


def _read_arrow(path: Path, start: Place) -> Iterator[Row]:
    before = 0
    with _whole("data set of Hugging Face datasets"):
        for stream in _arrow_streams(path):
            with stream as opened:
                for batch in _batches(opened):
                    if before + batch.num_rows > start.rows:
                        yield from _read_batches([batch], before, start.rows)
                    before += batch.num_rows


@contextmanager
def _whole(kind: str) -> Iterator[None]:
    """Say in words what is wrong with a damaged file, wherever in it that is found."""
    import pyarrow

    try:
        yield
    except FileNotFoundError:
        raise
    except (
        pyarrow.ArrowException,
        OSError,
        EOFError,
        UnicodeDecodeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UnreadableFile(f"This is no whole {kind}: {_first_line(error)}") from None


def _batches(opened: IO[bytes]) -> Iterator[Any]:
    import pyarrow

    start = opened.read(6)
    opened.seek(0)
    file = _InBatches(opened)
    if start == b"ARROW1":
        reader = pyarrow.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        yield from pyarrow.ipc.open_stream(file)


class _InBatches:
    """A file of which no more is read at once than a batch may have."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._read = file.read

    def read(self, size: int) -> bytes:
        if size > MAX_BATCH_BYTES:
            raise UnreadableFile(
                f"A batch in this file has {size:,} bytes, and at most {MAX_BATCH_BYTES:,} are "
                "read at once. Save the data set again with save_to_disk."
            )
        return self._read(size)


def _arrow_streams(path: Path) -> Iterator[Any]:
    """Yield what opens each Arrow file: of a folder, of a ZIP of one, or the file itself."""
    if path.is_dir():
        names = sorted((p.relative_to(path).as_posix() for p in path.rglob("*.arrow")), key=_order)
        if not names:
            raise UnreadableFile(
                "There is no .arrow file in this folder. Save the data set with save_to_disk."
            )
        for name in names:
            yield (path / name).open("rb")
    elif zipfile.is_zipfile(path):
        yield from _zipped(path)
    else:
        yield path.open("rb")


def _zipped(path: Path) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive:
        inside = [info for info in archive.infolist() if info.filename.endswith(".arrow")]
        if not inside:
            raise UnreadableFile(
                "There is no .arrow file in this ZIP. Unpack it and choose the file in it, or pack "
                "the folder that save_to_disk wrote."
            )
        for info in sorted(inside, key=lambda info: _order(info.filename)):
            if info.file_size > MAX_ARROW_BYTES:
                raise UnreadableFile(
                    f"{PurePosixPath(info.filename).name} is larger than "
                    f"{MAX_ARROW_BYTES // 1024**3} GB unpacked. Import the folder on the server."
                )
            if info.flag_bits & ENCRYPTED:
                raise UnreadableFile("This ZIP has a password. Pack the folder without one.")
            yield _unzipped(archive, info)


@contextmanager
def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    with archive.open(info) as opened:
        yield opened


def _order(name: str) -> tuple[int, str]:
    """Return where a file of a data set comes: splits as one reads them, then by name."""
    split = PurePosixPath(name).parent.name
    place = SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER)
    return place, name


def _read_batches(batches: Iterable[Any], before: int, skip: int) -> Iterator[Row]:
    number = before
    for batch in batches:
        if number + batch.num_rows <= skip:
            number += batch.num_rows
            continue
        for start in range(0, batch.num_rows, BATCH_ROWS):
            for value in batch.slice(start, BATCH_ROWS).to_pylist():
                number += 1
                if number > skip:
                    yield Row(number, _plain_row(value), Place(number, number + 1, 0))


def _plain_row(row: dict[str, Any]) -> dict[str, Any] | BadLine:
    try:
        return {name: _plain(value) for name, value in row.items()}
    except BadLine as error:
        return error


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it.

    What is missing in a table of numbers is NaN, which makes floats of its whole numbers.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() if value.is_integer() and abs(value) <= MAX_INTEGER:
            return int(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return f"{len(value):,} bytes"
    return str(value)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]
