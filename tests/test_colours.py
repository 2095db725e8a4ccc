"""The colours of the product, measured: every pair that is read together has enough contrast."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

TEXT = 4.5
"""WCAG 2.2, 1.4.3: text against what it stands on."""
PARTS = 3.0
"""WCAG 2.2, 1.4.11: edges of controls, and the focus, against what is beside them."""

TEXT_PAIRS = [
    *((text, ground) for text in ("text", "muted") for ground in ("bg", "surface", "surface-2")),
    *(("accent", ground) for ground in ("bg", "surface", "surface-2")),
    ("accent-text", "accent"),
    ("accent-text", "accent-hover"),
    *((name, ground) for name in ("ok", "warn", "bad", "info") for ground in ("bg", "surface")),
    *((name, f"{name}-soft") for name in ("ok", "warn", "bad", "info")),
    *(("text", f"{name}-soft") for name in ("accent", "ok", "warn", "bad", "info")),
]
PART_PAIRS = [
    (name, ground)
    for name in ("line-strong", "focus", "accent")
    for ground in ("bg", "surface", "surface-2")
]


def colours(scheme: str) -> dict[str, str]:
    """Return the colours of a scheme by their names."""
    css = (settings.BASE_DIR / "static/css/variables.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))
    return found


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(scheme: str) -> None:
    colour = colours(scheme)
    low = {
        (text, ground): round(contrast(colour[text], colour[ground]), 2)
        for text, ground in TEXT_PAIRS
        if contrast(colour[text], colour[ground]) < TEXT
    }
    assert low == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_and_focus_can_be_seen(scheme: str) -> None:
    colour = colours(scheme)
    low = {
        (part, ground): round(contrast(colour[part], colour[ground]), 2)
        for part, ground in PART_PAIRS
        if contrast(colour[part], colour[ground]) < PARTS
    }
    assert low == {}
