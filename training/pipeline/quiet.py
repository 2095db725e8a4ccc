"""Keep out of a run's log what libraries say that no engineer can act on.

Each line names one message, by its category and its text, and why it means nothing here. All
other warnings stay. Only the child process does this: a notebook or a test hears everything.
"""

from __future__ import annotations

import logging
import os
import re
import warnings

DEPRECATED_NAMES = (
    # TRL and PEFT ask models and settings by the names that transformers 5 renamed; no setting of
    # a run has to do with it.
    r"`is_gradient_checkpointing` is deprecated and will be removed in v6",
    r"`gradient_checkpointing` is deprecated and will be removed in v6",
)
NEW_HEAD = {("score.weight", "MISSING")}
"""A reward model's score head is new, so of course the base has no weights for it."""

_REPORT_ROW = re.compile(r"^(\S+)\s*\|\s*([A-Z]+)\s*\|", re.MULTILINE)


def keep_quiet() -> None:
    """Silence what is known to mean nothing. Call it before the libraries are imported."""
    for text in DEPRECATED_NAMES:
        warnings.filterwarnings("ignore", message=re.escape(text), category=FutureWarning)

    logging.getLogger("transformers.modeling_utils").addFilter(is_worth_saying)
    # A log has no cursor to move back: each state of a bar would stand there. The page has a bar.
    os.environ |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return whether a report on loaded weights tells more than that a new head is new."""
    text = record.getMessage()
    return "LOAD REPORT" not in text or set(_REPORT_ROW.findall(text)) != NEW_HEAD
