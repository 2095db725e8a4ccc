"""A run's log holds what an engineer can act on, and no library's private matters."""

from __future__ import annotations

import logging

from training.pipeline.quiet import is_worth_saying

NEW_HEAD = """LlamaForSequenceClassification LOAD REPORT from: /models/tiny
Key          | Status  |
-------------+---------+-
score.weight | MISSING |

Notes:
- MISSING: those params were newly initialized."""


def said(text: str) -> bool:
    record = logging.LogRecord("transformers", logging.WARNING, "", 0, text, (), None)
    return is_worth_saying(record)


def test_weights_that_are_missing_without_reason_are_reported() -> None:
    assert not said(NEW_HEAD)
    assert said(NEW_HEAD.replace("score.weight | MISSING", "score.weight | MISMATCH"))
    assert said(NEW_HEAD.replace("score.weight | MISSING |", "layers.0.weight | MISSING |"))
    assert said(NEW_HEAD + "\nlayers.1.weight | UNEXPECTED |")
    assert said("The attention mask is not set.")
