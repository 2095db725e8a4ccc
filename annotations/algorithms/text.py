"""The one validator of text that people, files and models hand in."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_PROMPT_CHARS = 20_000
MAX_COMPLETION_CHARS = 20_000
MAX_REASON_CHARS = 2_000
MAX_GUIDELINE_BYTES = 64 * 1024

_SURROGATE = re.compile("[\ud800-\udfff]")


def gettext_noop(words: str) -> str:
    """Mark words for the catalogue, as Django's does, of which nothing is known here."""
    return words


TOO_LONG = gettext_noop(
    "%(field)s is %(size)s characters long, and at most %(most)s fit. Shorten it."
)
HAS_NUL = gettext_noop(
    "%(field)s contains a NUL character in line %(line)s. Remove it and send the text again."
)
HAS_HALF = gettext_noop(
    "%(field)s contains half a character (lone surrogate U+%(code)s) in line %(line)s. Remove it "
    "and send the text again."
)


class TextError(ValueError):
    """A text that cannot be kept. Its message is a sentence for the person who sent it.

    The sentence is there in its parts, too, for who says it in another language.
    """

    def __init__(self, words: str, values: Mapping[str, int | str]) -> None:
        told = {
            name: f"{value:,}" if isinstance(value, int) else value
            for name, value in values.items()
        }
        super().__init__(words % told)
        self.words, self.values = words, values


def check_text(value: str, *, field: str, max_chars: int) -> str:
    """Return `value` unchanged if it can be stored and sent as it is; raise TextError if not.

    Refused are NUL characters, lone surrogates (neither survives a database or UTF-8) and texts
    that are too long. Everything else is data: markup, right-to-left overrides, blank text.

    >>> check_text("<b>frog</b>", field="The haiku", max_chars=100)
    '<b>frog</b>'
    """
    if len(value) > max_chars:
        raise TextError(TOO_LONG, {"field": field, "size": len(value), "most": max_chars})
    if "\x00" in value:
        line = _line_of(value, value.index("\x00"))
        raise TextError(HAS_NUL, {"field": field, "line": line})
    if found := _SURROGATE.search(value):
        line = _line_of(value, found.start())
        code = f"{ord(found[0]):04X}"
        raise TextError(HAS_HALF, {"field": field, "line": line, "code": code})
    return value


def unix_newlines(value: str) -> str:
    r"""Return `value` with the line endings that browsers put into form fields made plain.

    >>> unix_newlines("old pond\r\na frog")
    'old pond\na frog'
    """
    return value.replace("\r\n", "\n").replace("\r", "\n")


def same_words(value: str) -> str:
    r"""Return a key that is equal for texts that differ only in whitespace.

    >>> same_words(" old  pond\n") == same_words("old pond")
    True
    """
    return " ".join(value.split())


def letter_of(position: int) -> str:
    """Return the name of a shown completion: A for the first.

    >>> letter_of(1), letter_of(3)
    ('A', 'C')
    """
    return chr(ord("A") + position - 1)


def _line_of(value: str, position: int) -> int:
    return value.count("\n", 0, position) + 1
