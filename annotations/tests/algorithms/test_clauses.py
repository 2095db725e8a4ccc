"""Guidelines as clauses with cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.clauses import (
    Case,
    CaseError,
    changed_clauses,
    clauses_of,
    read_case,
    write_case,
)

BLOCK = "[prompt]\nRain.\n[A]\none\ntwo\n[B]\nthree\n[expected]\nB\n[why]\nShorter.\n"
TEXT = f"""Hello.

# Be fair

Read both.

```case
{BLOCK}```

## *It* is a haiku

```case
[prompt]
```

# Be fair
"""


def test_headings_begin_clauses_and_blocks_are_their_cases() -> None:
    clauses, errors = clauses_of(TEXT)
    assert [(c.slug, c.title) for c in clauses] == [
        ("introduction", "Introduction"),
        ("be-fair", "Be fair"),
        ("it-is-a-haiku", "It is a haiku"),
        ("be-fair-2", "Be fair"),
    ]
    assert clauses[1].cases == [Case("Rain.", "one\ntwo", "three", "right", "Shorter.")]
    assert errors == [
        "The case in line 23: There is nothing under [prompt]. Write it in the line below."
    ]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("", "nothing under [prompt]"),
        ("Rain.", "Begin it with [prompt]"),
        (BLOCK.replace("three", "one  two"), "the same"),
        (BLOCK.replace("\nB\n[why]", "\nC\n[why]"), "A, B, tie or both bad"),
        (BLOCK + "[A]\nfour", "twice"),
        (BLOCK.replace("three", "x" * 20_001), "20,001 characters"),
    ],
)
def test_it_says_why_a_block_is_no_case(block: str, words: str) -> None:
    with pytest.raises(CaseError) as caught:
        read_case(block)
    assert words in str(caught.value)


def test_there_are_at_most_so_many_cases() -> None:
    _, errors = clauses_of(f"```case\n{BLOCK}```\n\n" * 201)
    assert "201 cases" in errors[0]


def test_it_knows_which_clauses_changed() -> None:
    changed, gone = changed_clauses("# A\n\nx\n\n# B\n\ny\n", "# A\n\nx \n\n# C\n\nz\n")
    assert [clause.title for clause in changed] == ["C"]
    assert [clause.title for clause in gone] == ["B"]


def test_empty_text_has_no_clauses() -> None:
    assert clauses_of("") == ([], [])
    assert clauses_of("\n \n") == ([], [])


LINES = st.lists(
    st.sampled_from(["[A]", "\\[A]", "[why] ", "```", "# x", "a [B]", "frog", "    tab"]),
    min_size=1,
    max_size=4,
).map("\n".join)


@given(LINES, LINES, LINES, st.sampled_from(["left", "right", "tie", "both_bad"]))
def test_what_is_written_as_a_block_is_read_again(
    prompt: str, first: str, why: str, expected: str
) -> None:
    case = Case(prompt, first, "something else", expected, why)
    clauses, errors = clauses_of("# Clause\n\n" + write_case(case))
    assert errors == []
    assert [clause.cases for clause in clauses] == [[case]]
