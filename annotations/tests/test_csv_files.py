"""What a spreadsheet opens runs nothing and loses nothing."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from annotations.csv_files import FORMULA_STARTS, as_csv

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@given(st.lists(st.tuples(st.sampled_from(["", *FORMULA_STARTS]), TEXTS), max_size=5))
def test_no_cell_begins_a_formula_and_each_comes_back(parts: list[tuple[str, str]]) -> None:
    texts = [start + text for start, text in parts if "\r" not in start]
    written = "".join(as_csv([{"a": text, "b": [text, 1]} for text in texts], ["a", "b"]))
    rows = list(csv.DictReader(io.StringIO(written, newline="")))
    for text, row in zip(texts, rows, strict=True):
        assert not row["a"].startswith(FORMULA_STARTS)
        assert not row["b"].startswith(FORMULA_STARTS)
        assert row["a"].removeprefix("'") == text.removeprefix("'")


def test_numbers_stay_numbers() -> None:
    assert list(as_csv([{"a": -3.5}], ["a"])) == ["a\r\n", "-3.5\r\n"]
