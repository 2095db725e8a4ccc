"""Answers that are no answers: what a machine says when it has broken down."""

from __future__ import annotations

import re

ERRORS = re.compile(
    r"\s*+(?:<!doctype html|<html\b|traceback \(most recent call last\)"
    r"|(?:\W*)(?:internal server|network|api(?: request)?|rate limit|connection|time-?out) error\b"
    r"|(?:http )?error(?: code)?:?\s*[45]\d\d\b|\{\s*\"error\")",
    re.IGNORECASE,
)


def is_error_text(answer: str) -> bool:
    """Say whether an answer begins as the error of a server or a program does.

    >>> is_error_text("**NETWORK ERROR DUE TO HIGH TRAFFIC**"), is_error_text("Error 502")
    (True, True)
    >>> is_error_text("An error in the pond: the frog is a newt.")
    False
    """
    return ERRORS.match(answer) is not None
