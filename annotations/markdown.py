"""Guidelines from Markdown to HTML that is safe to show. Rendered once, when they are saved."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

from annotations.algorithms.text import MAX_GUIDELINE_BYTES, TextError, check_text

TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
    "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
"""No images: a remote one would tell its host who reads the guidelines, and when."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def render(text: str) -> str:
    """Return the HTML of a Markdown text, with nothing in it that runs, loads or tracks.

    Raise TextError if the text cannot be stored or is larger than 64 KiB.
    """
    check_text(text, field="The guidelines", max_chars=MAX_GUIDELINE_BYTES)
    size = len(text.encode("utf-8"))
    if size > MAX_GUIDELINE_BYTES:
        raise TextError(
            f"The guidelines take {size:,} bytes, and at most {MAX_GUIDELINE_BYTES:,} fit. "
            "Shorten them, or split off what only some kinds of work need."
        )
    return nh3.clean(
        _MARKDOWN.render(text),
        tags=TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
