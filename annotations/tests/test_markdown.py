from __future__ import annotations

import pytest

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
