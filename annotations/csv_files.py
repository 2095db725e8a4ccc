"""Tables as CSV files that a spreadsheet opens without taking a text for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet reads as the beginning of a formula, in full width in East Asian ones."""


def as_csv(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a CSV file; what a spreadsheet would take for a formula stays text."""
    line = _Line()
    writer = csv.DictWriter(line, list(columns))
    writer.writeheader()
    yield line.text
    for row in rows:
        writer.writerow({column: _cell(value) for column, value in row.items()})
        yield line.text


class _Line:
    """What a writer wrote last: a file that is sent on before it is whole."""

    text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = ";".join(map(str, value))
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
