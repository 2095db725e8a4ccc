"""Every bad line is listed by its number, and nothing a file holds makes reading it crash."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.importers import read_demonstrations, read_prompts


def as_jsonl(*objects: object) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


def test_it_lists_bad_line_1874_and_every_other():
    lines = [json.dumps({"prompt": f"haiku {number}"}) for number in range(1, 3001)]
    lines[1873] = '{"prompt": "half'
    lines[2499] = '{"prompt": 5}'
    rows, errors = read_prompts("\n".join(lines), "jsonl")
    assert [error.line for error in errors] == [1874, 2500]
    assert str(errors[0]).startswith("Line 1,874: Not JSON")
    assert len(rows) == 2998


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"\xff\xfe{", "UTF-8"),
        (b"nonsense", "Not JSON"),
        (b"[1]", "object"),
        (b'"text"', "object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"prompt": "a", "x": ' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"prompt": "a", "x": 1e999}', "too large"),
        (b'{"prompt": "a", "x": NaN}', "NaN is not JSON"),
        (b'{"prompt": "a", "x": -Infinity}', "-Infinity is not JSON"),
        (b'{"prompt": "a", "x": ' + b"9" * 10_000 + b"}", "64 bits"),
        (b'{"prompt": "a", "x": 9223372036854775808}', "64 bits"),
        (b'{"prompt": "a", "prompt": "b"}', '"prompt" is there twice'),
        (b'{"prompt": null}', "has to be a text, or a list"),
        (b'{"prompt": ["a"]}', "Message 1 has to have a role"),
        (b'{"prompt": []}', "1 to 100 messages"),
        (b'{"prompt": [{"role": "user", "content": 1}]}', "has to be a text"),
        (b'{"prompt": [{"role": ["user"], "content": "a"}]}', "role of message 1"),
        (b'{"prompt": [{"role": "assistant", "content": "a"}]}', "last message"),
        (b'{"prompt": "  "}', "The prompt is empty"),
        (b'{"prompt": "a\\u0000"}', "NUL"),
        (b'{"prompt": "a\\ud800"}', "half a character"),
        (b'{"prompt": "' + b"x" * 30_000 + b'"}', "30,000 characters"),
        (b'{"prompt": "' + b"x" * 5_000_000 + b'"}', "longer than"),
        (b'{"prompt": "a", "tags": "b"}', '"tags" has to be a list'),
        (b'{"prompt": "a", "id": true}', '"id" has to be a text'),
        (b'{"prompt": "a", "id": 1.5}', '"id" has to be a text'),
    ],
)
def test_it_says_what_is_wrong_and_reads_on(line, sentence):
    source = b'{"prompt": "first"}\n' + line + b'\n\n{"prompt": "last"}'
    rows, errors = read_prompts(io.BytesIO(source), "jsonl")
    assert [error.line for error in errors] == [2]
    assert sentence in errors[0].message
    assert [row.messages[0]["content"] for row in rows] == ["first", "last"]


def test_it_takes_a_byte_order_mark_carriage_returns_and_blank_lines():
    source = b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n{"prompt": "b\xe2\x80\xa8c"}'
    rows, errors = read_prompts(source, "jsonl")
    assert errors == []
    assert [row.messages[0]["content"] for row in rows] == ["a", "b\u2028c"]


def test_it_reads_a_prompt_a_line_as_it_stands():
    rows, errors = read_prompts("A frog.\r\n\n<b>\u202eA pond.</b>\n", "lines")
    assert errors == []
    assert [row.messages[0]["content"] for row in rows] == ["A frog.", "<b>\u202eA pond.</b>"]


def test_it_reads_prompts_of_several_turns_with_their_tags():
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A frog."}]
    rows, errors = read_prompts(as_jsonl({"prompt": turns, "id": 7, "tags": ["nature"]}), "jsonl")
    assert errors == []
    assert list(rows[0].messages) == turns
    assert (rows[0].external_id, rows[0].tags) == ("7", ("nature",))


def test_it_reads_prompts_from_csv_by_their_columns():
    rows, errors = read_prompts('id,prompt,tags\n7,"A\nfrog",a; b\n\n8,,\n9,x\n', "csv")
    assert [(row.external_id, row.tags) for row in rows] == [("7", ("a", "b"))]
    assert [error.line for error in errors] == [5, 6]
    rows, errors = read_prompts('\ufeffid;prompt\r\n7;"A; frog"\r\n', "csv")
    assert ([row.messages[0]["content"] for row in rows], errors) == (["A; frog"], [])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("words\na\n", 'no column "prompt"'),
        ("prompt,prompt\na,b\n", "same name"),
        ('prompt\n"a', "Not CSV"),
        ("prompt\n" + "x" * 200_000, "Not CSV"),
    ],
)
def test_it_says_what_is_wrong_with_a_csv_file(text, sentence):
    _, errors = read_prompts(text, "csv")
    assert sentence in errors[0].message


def test_it_reads_demonstrations():
    rows, errors = read_demonstrations(as_jsonl({"prompt": "a", "completion": "b\nc"}, {}))
    assert [(row.messages[0]["content"], row.completion) for row in rows] == [("a", "b\nc")]
    assert [error.line for error in errors] == [2]


def test_it_does_not_know_other_formats():
    for read in (read_prompts, read_demonstrations):
        with pytest.raises(ValueError, match="xml"):
            read("", "xml")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["prompt", "tags", "id"]


@given(st.dictionaries(st.sampled_from(KEYS), anything))
def test_it_either_reads_or_lists_any_object(value):
    source = json.dumps(value)
    rows, errors = read_prompts(source, "jsonl")
    assert bool(rows) != bool(errors)


@given(st.binary(max_size=200))
def test_it_survives_any_bytes(source):
    for format in ("lines", "jsonl", "csv"):
        read_prompts(source, format)
