"""No text makes a pattern slow: looking through it takes the time of reading it."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import annotations.algorithms

LENGTH = 20_000
"""Characters of the longest prompt and the longest completion."""
MOST_SECONDS = 0.5
"""A hundred times what any of them takes that goes through a text once."""

UNITS = (
    *("a", "A", "1", " ", "\n", ".", "-", "_", "*", "(", "[", "<", '"', "\\", "`", "|", "@", "蛙"),
    *("1 ", "1-", "a.", ". ", "a@", "a-", ".'", " \n", "Human: "),
)
"""What a text is made of that tries a pattern again from every place."""

SHORT_TEXTS_ALONE = {
    "annotations.algorithms.haiku.PREFACE": "lines of up to LONGEST_FRAME_LINE",
    "annotations.algorithms.haiku.SYLLABLE_NOTE": "lines of up to LONGEST_FRAME_LINE",
}


def patterns() -> Iterator[tuple[str, Callable[[Any], object], bool]]:
    """Yield the patterns that modules of ours keep, as each is used there, and whether on bytes."""
    for module in pkgutil.iter_modules(annotations.algorithms.__path__, "annotations.algorithms."):
        importlib.import_module(module.name)
    ours = ("annotations.", "training.", "labelstudio_llm.")
    for name, loaded in sorted(sys.modules.items()):
        if not name.startswith(ours) or ".tests" in name or loaded.__file__ is None:
            continue
        source = Path(loaded.__file__).read_text(encoding="utf-8")
        for attribute, value in vars(loaded).items():
            if isinstance(value, re.Pattern):
                anywhere = re.search(rf"\b{attribute}\.(search|sub|split|find)", source)
                look = value.search if anywhere else value.match
                yield f"{name}.{attribute}", look, isinstance(value.pattern, bytes)


def test_no_text_makes_a_pattern_slow() -> None:
    texts = [unit * (LENGTH // len(unit)) + "!" for unit in UNITS]
    slow, found = [], list(patterns())
    assert len(found) > 40
    for name, look, in_bytes in found:
        if name in SHORT_TEXTS_ALONE:
            continue
        for text in texts:
            sent = text.encode() if in_bytes else text
            begun = time.process_time()
            look(sent)
            if (took := time.process_time() - begun) > MOST_SECONDS:
                slow.append(f"{name} takes {took:.1f} s for {text[:12]!r}…")
                break
    assert not slow, "\n".join(slow)
