"""From Markdown to HTML that is safe to show: guidelines, prompts and completions.

Guidelines are rendered once, when they are saved. Prompts and completions come from models and
strangers: they get no links and no images, because a labeller who follows one leaves the work and
tells its host who reads what, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from annotations.algorithms.clauses import Case, CaseError, is_case, read_case
from annotations.algorithms.text import MAX_GUIDELINE_BYTES, TextError, check_text

TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
    "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
"""No images: a remote one would tell its host who reads the guidelines, and when."""

ANSWER_TAGS = TAGS - {"a"}

CASE_TAGS = {"details", "summary", "dl", "dt", "dd"}
"""What a case of a guideline is shown with; nobody can write these."""

CHOICES = {"left": "A", "right": "B", "tie": "A tie", "both_bad": "Both bad"}
SUMMARY_CHARS = 100
"""Of its prompt, what an example that is folded is called by."""

KEPT_ANSWERS = 1_000
"""Rendered texts that a web process remembers, because people judge the same ones in turn."""

MAX_NESTING = 20
"""A deeply nested quote is no more than an annoyance, and the parser drops what is deeper."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def _fence(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    environment: dict[str, object],
) -> str:
    """Return a case as an example that is folded, any other block as what it is.

    A case that cannot be read is shown as it was written: publishing says what is wrong with it.
    """
    token = tokens[index]
    as_written = RendererHTML.fence(renderer, tokens, index, options, environment)
    if not is_case(token.info):
        return as_written
    try:
        return _example(read_case(token.content))
    except CaseError:
        return as_written


def _example(case: Case) -> str:
    head = escape(case.prompt.strip().split("\n", 1)[0][:SUMMARY_CHARS])
    parts = [("Prompt", case.prompt), ("A", case.first), ("B", case.second)]
    parts.append(("Choose", CHOICES[case.expected]))
    if case.why:
        parts.append(("Why", case.why))
    rows = "".join(
        f'<dt>{name}</dt><dd class="case__text">{escape(value)}</dd>' for name, value in parts
    )
    return f'<details class="case"><summary>Example: {head}</summary><dl>{rows}</dl></details>\n'


_MARKDOWN.add_render_rule("fence", _fence)

# A haiku's lines are lines.
_ANSWERS = MarkdownIt(
    "commonmark", {"html": False, "breaks": True, "maxNesting": MAX_NESTING}
).enable("table")


def render(text: str) -> str:
    """Return the HTML of a Markdown text, with nothing in it that runs, loads or tracks.

    Raise TextError if the text cannot be stored or is larger than 64 KiB.
    """
    check_text(text, field="The guidelines", max_chars=MAX_GUIDELINE_BYTES)
    size = len(text.encode("utf-8"))
    if size > MAX_GUIDELINE_BYTES:
        raise TextError(
            "The guidelines take %(size)s bytes, and at most %(most)s fit. Shorten them, or split "
            "off what only some kinds of work need.",
            {"size": size, "most": MAX_GUIDELINE_BYTES},
        )
    return nh3.clean(
        _MARKDOWN.render(text),
        tags=TAGS | CASE_TAGS,
        attributes={
            "a": {"href", "title"},
            "ol": {"start"},
            "details": {"class"},
            "dd": {"class"},
        },
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


@lru_cache(maxsize=KEPT_ANSWERS)
def render_answer(text: str) -> str:
    """Return the HTML of a prompt or a completion, with nothing in it that can be followed.

    Line breaks are kept. A link or an image is shown as its words and its address. A text that
    would be cut off or come out empty is shown as it was written: nobody judges half an answer.
    """
    environment: dict[str, object] = {}
    tokens = _ANSWERS.parse(text, environment)
    if _loses_text(text, tokens):
        return "<p>" + "<br>\n".join(escape(text.strip()).splitlines()) + "</p>\n"
    for token in tokens:
        if token.children:
            token.children = _without_addresses(token.children)
    html: str = _ANSWERS.renderer.render(tokens, _ANSWERS.options, environment)
    return nh3.clean(html, tags=ANSWER_TAGS, attributes={"ol": {"start"}})


def _loses_text(text: str, tokens: Sequence[Token]) -> bool:
    """Say whether a text is nested too deep, or has nothing left to show."""
    containers = ("blockquote_open", "list_item_open")
    if any(token.type in containers and token.level >= MAX_NESTING - 1 for token in tokens):
        return True
    shown = any(token.content.strip() or token.type == "hr" for token in tokens)
    return bool(text.strip()) and not shown


def _without_addresses(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of a paragraph with links and images spelled out."""
    plain: list[Token] = []
    address, words = "", ""
    for token in tokens:
        match token.type:
            case "link_open":
                address, words = str(token.attrGet("href") or ""), ""
            case "link_close":
                if address and address != words:
                    plain.append(_text(f" ({address})"))
            case "image":
                plain.append(_text(f"[image: {token.content}] ({token.attrGet('src')})"))
            case _:
                words += token.content
                plain.append(token)
    return plain


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
