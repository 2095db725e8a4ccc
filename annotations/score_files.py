"""Files of scores from elsewhere: read line by line, every bad line with its number.

A line names its completion by `completion_id`, or by the external id of its prompt and the model
that wrote it (`prompt_id`, `model`), and has `scorer` and `score`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

from annotations.importers import LineError
from annotations.importers.parsing import separator_of

LONGEST_SCORER = 100
LONGEST_NAME = 200
MOST_ERRORS = 1_000
"""After so many bad lines a file is read no further."""
LONGEST_ID = 18
"""Digits."""


@dataclass(frozen=True)
class ScoreRow:
    """One score, and which completion it is of: by its id, or by its prompt's and its model."""

    line: int
    scorer: str
    score: float
    completion_id: int | None = None
    prompt_id: str = ""
    model: str = ""


class _BadLine(Exception):
    """A line cannot be used; the message says why."""


def read_scores(file: IO[bytes], name: str) -> tuple[list[ScoreRow], list[LineError]]:
    """Return the scores of a JSONL file, or of a CSV file by its name, and its bad lines."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    lines = _csv_lines(text) if name.lower().endswith(".csv") else _json_lines(text)
    rows: list[ScoreRow] = []
    errors: list[LineError] = []
    try:
        for number, values in lines:
            try:
                rows.append(_row(number, values))
            except _BadLine as error:
                errors.append(LineError(number, str(error)))
            if len(errors) >= MOST_ERRORS:
                break
    except UnicodeDecodeError:
        errors.append(LineError(1, "The file is not UTF-8. Save it as UTF-8 and try again."))
    except csv.Error as error:
        errors.append(LineError(1, f"The file is no CSV ({error})."))
    finally:
        text.detach()  # whoever opened the file closes it
    return rows, errors


def _json_lines(text: IO[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _csv_lines(text: IO[str]) -> Iterator[tuple[int, Any]]:
    head = text.readline()
    reader = csv.DictReader(chain([head], text), delimiter=separator_of(head))
    for values in reader:
        yield reader.line_num, {name: value for name, value in values.items() if value}


def _row(line: int, values: Any) -> ScoreRow:
    if not isinstance(values, Mapping):
        raise _BadLine('Write an object like {"completion_id": 7, "scorer": "judge", "score": 1}.')
    scorer, score = _text(values, "scorer", LONGEST_SCORER), _score(values.get("score"))
    if not scorer:
        raise _BadLine("Name who gave the score: “scorer”.")
    if values.get("completion_id") is not None:
        return ScoreRow(line, scorer, score, completion_id=_number(values["completion_id"]))
    prompt_id, model = (
        _text(values, "prompt_id", LONGEST_NAME),
        _text(values, "model", LONGEST_NAME),
    )
    if not (prompt_id and model):
        raise _BadLine("Name the completion: “completion_id”, or “prompt_id” and “model”.")
    return ScoreRow(line, scorer, score, prompt_id=prompt_id, model=model)


def _text(values: Mapping[Any, Any], name: str, longest: int) -> str:
    value = values.get(name, "")
    text = str(value).strip() if isinstance(value, str | int) else ""
    if len(text) > longest or not text.isprintable():
        raise _BadLine(f"“{name}” has at most {longest} characters, all on one line.")
    return text


def _number(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (
        text.isascii() and text.isdigit() and len(text) <= LONGEST_ID
    ):
        raise _BadLine("“completion_id” is a whole number, as on the page of its item.")
    return int(text)


def _score(value: Any) -> float:
    try:
        score = float("nan" if isinstance(value, bool) or value is None else value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise _BadLine("“score” is a number, more for what is better.")
    return score
