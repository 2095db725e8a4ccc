"""Pastes and files of one known form: prompts, demonstrations."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from annotations.algorithms.text import TextError
from annotations.importers.parsing import (
    Source,
    completion_of,
    decoded,
    lines_of,
    messages_of,
    name_of,
    parse_object,
    prompt_text,
    separator_of,
    tags_of,
)
from annotations.importers.rows import (
    BadLine,
    DemonstrationRow,
    LineError,
    PromptRow,
    user_turn,
)

Row = TypeVar("Row")

PROMPT_FORMATS = ("lines", "jsonl", "csv")


def read_prompts(source: Source, format: str = "lines") -> tuple[list[PromptRow], list[LineError]]:
    """Return the prompts of a file, and what is wrong with every line that has none.

    "lines" has a prompt a line. "jsonl" has `prompt` (text or messages) and may have `id` and
    `tags`. "csv" has a column `prompt` and may have `id` and `tags` (separated by semicolons).
    """
    match format:
        case "lines":
            return _read(lines_of(source), _prompt_from_text)
        case "jsonl":
            return _read(lines_of(source), lambda line: _prompt_from_object(parse_object(line)))
        case "csv":
            return _read_csv(source, _prompt_from_record, column="prompt")
    raise ValueError(f"Prompts are read from {', '.join(PROMPT_FORMATS)}, not from {format!r}.")


def read_demonstrations(
    source: Source, format: str = "jsonl"
) -> tuple[list[DemonstrationRow], list[LineError]]:
    """Return the demonstrations of a JSONL file with `prompt` and `completion` on every line."""
    if format != "jsonl":
        raise ValueError(f"Demonstrations are read from jsonl, not from {format!r}.")
    return _read(lines_of(source), lambda line: _demonstration_from_object(parse_object(line)))


def _read(
    lines: Iterator[tuple[int, bytes | str]],
    parse: Callable[[str], Row],
    *,
    keep_blank: bool = False,
) -> tuple[list[Row], list[LineError]]:
    rows: list[Row] = []
    errors: list[LineError] = []
    for number, raw in lines:
        try:
            line = decoded(raw).removesuffix("\n").removesuffix("\r")
            if number == 1:
                line = line.removeprefix("\ufeff")
            if line.strip() or keep_blank:
                rows.append(parse(line))
        except (BadLine, TextError) as error:
            errors.append(LineError(number, str(error)))
    return rows, errors


def _read_csv(
    source: Source, parse: Callable[[dict[str, str]], Row], *, column: str
) -> tuple[list[Row], list[LineError]]:
    """Read records instead of lines: a quoted field may run over several."""
    lines: list[str] = []
    _, errors = _read(lines_of(source), lines.append, keep_blank=True)
    if errors:
        return [], errors
    separator = separator_of(next(filter(str.strip, lines), ""))
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    start = 1
    while True:
        try:
            record = next(reader)
            if any(cell.strip() for cell in record):
                if header is None:
                    header = _header(record, column)
                else:
                    rows.append(parse(_record(header, record)))
        except StopIteration:
            return rows, errors
        except csv.Error as error:
            return rows, [*errors, LineError(start, f"Not CSV: {error}.")]
        except (BadLine, TextError) as error:
            errors.append(LineError(start, str(error)))
            if header is None:
                return rows, errors
        start = reader.line_num + 1


def _header(record: Sequence[str], column: str) -> list[str]:
    header = [cell.strip().lower() for cell in record]
    if column not in header:
        raise BadLine(f'There is no column "{column}". The first line has to name the columns.')
    if len(set(header)) < len(header):
        raise BadLine("Two columns have the same name. Keep one.")
    return header


def _record(header: Sequence[str], record: Sequence[str]) -> dict[str, str]:
    if len(record) != len(header):
        raise BadLine(f"There are {len(record)} fields, and the first line names {len(header)}.")
    return dict(zip(header, record, strict=True))


def _prompt_from_text(line: str) -> PromptRow:
    return PromptRow.of(prompt_text(line.strip()))


def _prompt_from_object(value: Mapping[str, Any]) -> PromptRow:
    return PromptRow(
        messages=messages_of(value),
        external_id=name_of(value, "id", "external_id"),
        tags=tags_of(value.get("tags")),
    )


def _prompt_from_record(record: Mapping[str, str]) -> PromptRow:
    tags = [tag.strip() for tag in record.get("tags", "").split(";")]
    return PromptRow(
        messages=user_turn(prompt_text(record["prompt"])),
        external_id=name_of(record, "id", "external_id"),
        tags=tags_of([tag for tag in tags if tag]),
    )


def _demonstration_from_object(value: Mapping[str, Any]) -> DemonstrationRow:
    completion = completion_of(value, "completion")
    if not completion.strip():
        raise BadLine('"completion" is empty. A demonstration has to say something.')
    return DemonstrationRow(messages=messages_of(value), completion=completion)
