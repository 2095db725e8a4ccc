"""The formats that are read: what their rows are, how they are recognised, which columns they have.

A format is a file with `records(row, reading)`; one whose rows have a shape of their own also has
`is_of(row)`. Everything else is a table, whose columns are named by whoever imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from annotations.algorithms.text import TextError
from annotations.importers import (
    anthropic_hh,
    argilla,
    chat,
    label_studio,
    open_assistant,
    table,
)
from annotations.importers.containers import (
    Place,
    UnreadableFile,
    read_rows,
    recognise_container,
)
from annotations.importers.reading import TARGETS, Reading, columns_of, guess_columns
from annotations.importers.records import Record
from annotations.importers.rows import BadLine, LineError

Records = Callable[[Mapping[str, Any], Reading], Iterator[Record]]
SAMPLE_ROWS = 50
OF_EVERYTHING = {"annotation_id", "said", "shown_order", "superseded_by"}
"""As a table its completions would come in as judged by nobody."""


@dataclass(frozen=True)
class Format:
    """A kind of rows."""

    label: str
    records: Records
    is_of: Callable[[Mapping[str, Any]], bool] | None = None
    targets: Sequence[str] = ()
    """What its columns may be; without, they have names of their own."""
    inside: Callable[[Mapping[str, Any]], Any] | None = None
    """What of a row has the columns, if not the row itself."""
    usual: Mapping[str, str] = field(default_factory=dict)
    """Columns that are looked for where the first rows do not have them."""
    annotator: str = ""
    """Who said it, where every such file comes from the same people."""


FORMATS: dict[str, Format] = {
    "label_studio": Format(
        "Label Studio tasks",
        label_studio.records,
        label_studio.is_of,
        targets=label_studio.TARGETS,
        usual=label_studio.USUAL,
        inside=label_studio.data_of,
    ),
    "argilla": Format(
        "Argilla records",
        argilla.records,
        argilla.is_of,
        targets=argilla.TARGETS,
        inside=argilla.fields_of,
    ),
    "open_assistant": Format(
        "Open-Assistant trees",
        open_assistant.records,
        open_assistant.is_of,
        annotator=open_assistant.RANKERS,
    ),
    "anthropic_hh": Format(
        "Anthropic HH dialogues", anthropic_hh.records, anthropic_hh.is_of, annotator="anthropic-hh"
    ),
    "chat": Format("OpenAI chat", chat.records, chat.is_of),
    "table": Format("Table with named columns", table.records, targets=tuple(TARGETS)),
}
"""In the order in which they are tried."""


@dataclass(frozen=True)
class Sample:
    """The first rows of a file, and what it was taken for."""

    container: str
    reading: Reading
    columns: Mapping[str, str]
    """With a value of each."""
    rows: Sequence[Mapping[str, Any]]


def look_at(path: Path, reading: Reading | None = None) -> Sample:
    """Return the first rows of a file. Without a reading the likeliest is taken."""
    container = recognise_container(path)
    first = islice(read_rows(path, container), SAMPLE_ROWS)
    rows = [row.value for row in first if not isinstance(row.value, BadLine)]
    if rows and rows[0].keys() >= OF_EVERYTHING:
        raise UnreadableFile(
            "This is the export “Everything” of a project, which is not read. Take its export for "
            "Label Studio: that brings back prompts, completions and what people said."
        )
    if reading is None:
        reading = guess(rows)
    return Sample(container, reading, columns_in(reading.format, rows), rows)


def columns_in(format: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the columns that may be named in rows of a format."""
    inside = FORMATS[format].inside
    if not FORMATS[format].targets:
        return {}
    nested = map(inside, rows) if inside else rows
    return columns_of(row for row in nested if isinstance(row, dict))


def guess(rows: Sequence[Mapping[str, Any]], format: str = "") -> Reading:
    """Return how rows are likely to be read; as a given format, if one is given."""
    if not format:
        format = next(
            (
                name
                for name, one in FORMATS.items()
                if one.is_of is not None and rows and one.is_of(rows[0])
            ),
            "table",
        )
    columns = guess_columns(columns_in(format, rows), FORMATS[format].targets)
    if FORMATS[format].inside:
        # Tasks of several kinds may lie behind one another: their fields are not in the first rows.
        columns = {**FORMATS[format].usual, **columns}
    else:
        columns = _without_excess(columns)
    reading = Reading(format, columns)
    annotator = FORMATS[format].annotator
    return replace(reading, annotator=annotator) if annotator else reading


def _without_excess(columns: dict[str, str]) -> dict[str, str]:
    """Leave out what contradicts the rest: half a pair, and an answer beside a pair."""
    for pair in (("chosen", "rejected"), ("left", "right")):
        if not all(side in columns for side in pair):
            for side in pair:
                columns.pop(side, None)
    if columns.get("winner", "").lower() == "label" and "left" not in columns:
        columns["label"] = columns.pop("winner")
    if "completion" not in columns:
        columns.pop("label", None)
    if "left" in columns or "chosen" in columns:
        for name in ("completion", "completions", "ranks", "label"):
            columns.pop(name, None)
    elif "completions" in columns:
        for name in ("completion", "label"):
            columns.pop(name, None)
    if "left" not in columns:
        for name in ("winner", "votes", "left_model", "right_model"):
            columns.pop(name, None)
    if "votes" in columns:
        columns.pop("winner", None)
    return columns


@dataclass(frozen=True)
class Read:
    """What a row came to: its records, or what is wrong with it; and the place behind it."""

    line: int
    records: Sequence[Record]
    error: LineError | None
    after: Place


def read_records(
    path: Path, container: str, reading: Reading, start: Place | None = None
) -> Iterator[Read]:
    """Yield what each row of a file comes to, from a place on."""
    of_format = FORMATS[reading.format].records
    for row in read_rows(path, container, start):
        error = None
        records: list[Record] = []
        try:
            if isinstance(row.value, BadLine):
                raise row.value
            records = [_checked(record) for record in of_format(row.value, reading)]
        except (BadLine, TextError) as bad:
            error = LineError(row.line, str(bad))
        except RecursionError:
            error = LineError(row.line, "It is nested too deeply.")
        yield Read(row.line, records if error is None else (), error, row.after)


def _checked(record: Record) -> Record:
    shown = {(one.text, one.model) for one in record.candidates}
    if len(shown) < len(record.candidates):
        raise BadLine("Two of the completions are the same, so there is nothing to compare.")
    return record
