"""A checkpoint's model card: Markdown behind front matter that the Hugging Face Hub reads.

The front matter is YAML in JSON's notation, which is a part of it, so nothing has to be escaped by
hand and no library is needed. Facts go in, text comes out; `training.selectors.cards` finds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.suite_table import Row

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True)
class HumanData:
    """What people said that a model learnt from, of one snapshot."""

    snapshot: int
    sha256: str
    content: str
    way: str
    """How it came into the model."""
    annotations: int
    annotators: int
    guidelines: str
    """Kinds of work with the versions of their guidelines."""


@dataclass(frozen=True)
class Measured:
    """A number that is held against others, with its interval where there is one."""

    name: str
    kind: str
    """What the Hub files it under: accuracy, win_rate."""
    value: float
    low: float | None
    high: float | None
    n: int
    of: str
    """What it was measured on."""


@dataclass(frozen=True)
class Card:
    """Everything that a model card says."""

    name: str
    project: str
    base: str
    license: str | None
    is_adapter: bool
    stage: str
    lineage: Sequence[str]
    """The base model first, then each ancestor, then the model itself."""
    reward_model: str | None
    config: Mapping[str, Any]
    provenance: Mapping[str, str]
    """Run, seed, code version: what repeats the training."""
    data: Sequence[HumanData]
    agreement: str
    measured: Sequence[Measured]
    suite: Sequence[Row]
    beside: str
    """The checkpoint that the suite measured beside."""
    limitations: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file."""


def card_text(card: Card) -> str:
    """Return the card as a README.md."""
    parts = [
        _front_matter(card),
        f"# {plain(card.name)}\n\n{_summary(card)}",
        "## Intended use\n\nTo be stated by who gives this model to others: what it is for, for "
        "whom, and what it is not for.",
        f"## How it was trained\n\n{_training(card)}",
        f"## Human data\n\n{_human_data(card)}",
        f"## Evaluation\n\n{_evaluation(card)}",
        "## Limitations\n\n" + "\n".join(f"- {plain(line)}" for line in card.limitations),
    ]
    if card.files:
        parts.append("## Files\n\n" + _table(("File", "SHA-256"), card.files.items()))
    return "\n\n".join(parts) + "\n"


def plain(text: object) -> str:
    r"""Return a text on one line that Markdown and HTML take for nothing else.

    >>> print(plain("a|b\n<i>"))
    a\|b \<i\>
    """
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _front_matter(card: Card) -> str:
    values: dict[str, Any] = {
        "base_model": card.base,
        **({"license": card.license} if card.license else {}),
        "library_name": "peft" if card.is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["labelstudio-llm", "rlhf", card.stage],
        "datasets": [f"sha256-{one.sha256}" for one in card.data],
    }
    if card.measured:
        values["model-index"] = [{"name": card.name, "results": [*map(_result, card.measured)]}]
    lines = (f"{name}: {json.dumps(value, ensure_ascii=True)}" for name, value in values.items())
    return "\n".join(["---", *lines, "---"])


def _result(one: Measured) -> dict[str, Any]:
    metric = {"type": one.kind, "value": round(one.value, 4), "name": one.name}
    if one.low is not None and one.high is not None:
        metric["confidence_interval"] = [round(one.low, 4), round(one.high, 4)]
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": one.of, "type": "held-out-prompts"},
        "metrics": [metric],
    }


def _summary(card: Card) -> str:
    what = "A LoRA adapter on" if card.is_adapter else "A model made from"
    return (
        f"{what} {plain(card.base)}, the last step {plain(card.stage)}, from the project "
        f"“{plain(card.project)}”. Written by labelstudio-llm from what it recorded."
    )


def _training(card: Card) -> str:
    lines = [f"Lineage: {' → '.join(map(plain, card.lineage))}."]
    if card.reward_model:
        lines.append(f"Rewarded by {plain(card.reward_model)}.")
    facts = [*card.provenance.items(), *card.config.items()]
    return " ".join(lines) + "\n\n" + _table(("Setting", "Value"), facts)


def _human_data(card: Card) -> str:
    if not card.data:
        return "None: nothing that people said in this project is behind it."
    header = ("Snapshot", "Holds", "Through", "Annotations", "Annotators", "Guidelines", "SHA-256")
    rows = [
        (
            one.snapshot,
            one.content,
            one.way,
            one.annotations,
            one.annotators,
            one.guidelines or "none",
            one.sha256,
        )
        for one in card.data
    ]
    return f"{_table(header, rows)}\n\nAgreement of annotators: {plain(card.agreement)}."


def _evaluation(card: Card) -> str:
    parts = []
    if card.measured:
        rows = [
            (one.name, f"{one.value:.3f}", _interval(one), one.n, one.of) for one in card.measured
        ]
        parts.append(_table(("What", "Value", "95 % interval", "n", "On"), rows))
    if card.suite:
        beside = [
            (_name(row), row.child, row.parent, row.difference, row.interval) for row in card.suite
        ]
        names = ("Property", card.name, card.beside, "Difference", "95 % interval")
        parts.append(f"Beside {plain(card.beside)} on held-out prompts:\n\n{_table(names, beside)}")
    return "\n\n".join(parts) or "It was not evaluated."


def _name(row: Row) -> str:
    return f"{row.label} ({row.note})" if row.note else row.label


def _interval(one: Measured) -> str:
    if one.low is None or one.high is None:
        return "unknown"
    return f"{one.low:.3f} to {one.high:.3f}"


def _table(header: Sequence[str], rows: Any) -> str:
    return "\n".join(_lines(header, rows))


def _lines(header: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(map(plain, header))} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(plain, row))} |"
