from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations import markdown
from annotations.algorithms.text import TextError


def test_it_renders_what_guidelines_need():
    html = markdown.render("# Title\n\n*a* **b** `c`\n\n1. x\n\n| a |\n|---|\n| b |\n")
    for tag in ("<h1>", "<em>", "<strong>", "<code>", "<ol>", "<table>"):
        assert tag in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,hi)",
        "![x](https://example.org/track.png)",
        '<a href="#" onclick="alert(1)" hx-get="/x">x</a>',
        "<iframe src=https://example.org></iframe>",
    ],
)
def test_it_leaves_nothing_that_runs_or_loads(text):
    html = markdown.render(text)
    for bad in ("<script", "<img", "<iframe", '<a href="#"', 'href="javascript', 'href="data'):
        assert bad not in html


def test_it_sends_nobody_the_address_of_the_page():
    assert 'rel="noopener noreferrer nofollow"' in markdown.render("[x](https://example.org)")


@pytest.mark.parametrize("text", ["x" * 65_537, "ü" * 40_000, "a\x00", "\ud800"])
def test_it_refuses_what_is_too_large_or_cannot_be_kept(text):
    with pytest.raises(TextError):
        markdown.render(text)


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](https://example.org 'title')",
    "[ref]\n\n[ref]: https://example.org",
    "<https://example.org>",
    "![x](https://example.org/track.png)",
    "[![x](https://example.org/track.png)](https://example.org)",
    '<a href="#" onclick="alert(1)" hx-get="/x">x</a>',
    "<iframe src=https://example.org></iframe>",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    '<form action="/sign-out/"><button>x</button></form>',
    "```<script>\nalert(1)\n```",
    "`</code><script>alert(1)</script>`",
    "# <b onmouseover=alert(1)>",
    "|<script>|\n|-|\n|<img src=x>|",
    "&lt;script&gt;",
    "<!-- --><script>x</script>",
    "<div\u0000 data-completion>",
    "\u202e<b>",
]
ALLOWED = re.compile(r"</?(?:" + "|".join(sorted(markdown.ANSWER_TAGS)) + r')(?: start="\d+")?>')


@pytest.mark.parametrize("text", HOSTILE)
def test_an_answer_can_neither_run_nor_load_nor_lead_away(text):
    html = markdown.render_answer(text)
    assert "<" not in ALLOWED.sub("", html)
    assert "href" not in re.sub(r"&lt;.*?&gt;", "", html)


@given(st.text(st.sampled_from("<>[]()!`*_#\"'&/=: \nabx-|"), max_size=200))
def test_no_answer_can(text):
    assert "<" not in ALLOWED.sub("", markdown.render_answer(text))


def test_it_shows_where_a_link_would_lead():
    html = markdown.render_answer("[free](https://example.org/a?b) ![cat](http://e.org/c.png)")
    assert html == ("<p>free (https://example.org/a?b) [image: cat] (http://e.org/c.png)</p>\n")


def test_it_keeps_lines_code_and_lists():
    html = markdown.render_answer("one\ntwo\n\n3. three\n\n```\nif a < b:\n    $x^2$\n```")
    assert "one<br>\ntwo" in html
    assert '<ol start="3">' in html
    assert "<pre><code>if a &lt; b:\n    $x^2$\n</code></pre>" in html


@pytest.mark.parametrize(
    ("text", "last_word"),
    [
        (">" * 200 + " deep", "deep"),
        (">" * 20 + " deep\n\nand after", "deep"),
        ("- " * 50 + "xlist\n\n| table |", "xlist"),
        ("1. " * 15 + "numbered", "numbered"),
        ("[ref]: https://example.org", "https://example.org"),
        ("- - -\n> \n", ""),
    ],
)
def test_no_text_vanishes(text, last_word):
    html = markdown.render_answer(text)
    assert last_word in html
    assert "<" not in ALLOWED.sub("", html)
    assert re.sub(r"<(?!hr)[^>]*>|\s", "", html)


@given(st.integers(1, 30), st.sampled_from(["> ", "- ", "1. ", "> - "]))
def test_no_depth_makes_it_vanish(depth, mark):
    assert "word" in markdown.render_answer(mark * depth + "word")


@pytest.mark.parametrize("text", ["[" * 20_000, "![" * 10_000, "*a **" * 4_000, ">" * 20_000])
def test_it_is_quick_about_texts_made_to_be_slow(text):
    begun = time.monotonic()
    markdown.render_answer(text)
    assert time.monotonic() - begun < 20
