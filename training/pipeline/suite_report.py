"""What the evaluation suite says of two models' answers to the same prompts. No torch here.

Every property is given for child and parent with the difference and its interval over prompts
(`annotations.algorithms.paired`). The win rate takes the prompt as its cluster, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from annotations.algorithms.diversity import distinct, self_bleu
from annotations.algorithms.haiku import TARGET, HaikuScore, score_haiku
from annotations.algorithms.paired import Paired, paired, paired_whole
from annotations.algorithms.refusals import refuses
from annotations.algorithms.winrate import win_rate

EXAMPLES = 12


@dataclass
class Answer:
    """A completion and what was measured on it. Log-probabilities are of the whole of it."""

    prompt_id: int
    prompt: str
    text: str
    tokens: list[int]
    ended: bool
    log_prob: float = 0.0
    """Under the model that wrote it."""
    under_base: float = 0.0
    under_parent: float = 0.0
    score: float | None = None
    """Of the reward model, where there is one."""
    haiku: HaikuScore | None = field(default=None, repr=False)


Measure = Callable[[Answer], float]

MEASURES: dict[str, Measure] = {
    "kl": lambda one: one.log_prob - one.under_base,
    "kl_token": lambda one: (one.log_prob - one.under_base) / max(1, len(one.tokens)),
    "tokens": lambda one: len(one.tokens),
    "characters": lambda one: len(one.text),
    "ended": lambda one: float(one.ended),
    "refusal": lambda one: float(refuses(one.text)),
}
"""What is measured on each answer."""


def _haiku(one: Answer) -> HaikuScore:
    if one.haiku is None:
        one.haiku = score_haiku(one.prompt, one.text)
    return one.haiku


HAIKU: dict[str, Measure] = {
    "haiku": lambda one: _haiku(one).total,
    "haiku_lines": lambda one: float(len(_haiku(one).lines) == len(TARGET)),
    "haiku_syllables": lambda one: float(_haiku(one).syllables == TARGET),
    "haiku_on_topic": lambda one: float(_haiku(one).topic == 0),
    "haiku_repetition": lambda one: float(_haiku(one).repetition < 0),
}
"""The rubric of `annotations.algorithms.haiku`, whole and in parts."""


def report(child: Sequence[Answer], parent: Sequence[Answer], *, checks: str) -> dict[str, Any]:
    """Return the results of a suite. Answers stand side by side: the same prompt and number."""
    prompts = [one.prompt_id for one in child]
    table: dict[str, Paired | None] = {}
    scored = _scores(child, parent)
    if scored:
        table["score"] = paired(*scored, prompts)
    measures = MEASURES | (HAIKU if checks == "haiku" else {})
    for name, measure in measures.items():
        table[name] = paired([*map(measure, child)], [*map(measure, parent)], prompts)
    texts = [one.text for one in child], [one.text for one in parent]
    for n in (1, 2, 3):
        table[f"distinct_{n}"] = paired_whole(partial(distinct, n=n), *texts, prompts)
    table["self_bleu"] = paired(self_bleu(texts[0]), self_bleu(texts[1]), prompts)
    to_parent = [one.log_prob - one.under_parent for one in child]
    moved = paired(to_parent, [0.0] * len(to_parent), prompts)
    return {
        "prompts": len(set(prompts)),
        "answers": len(child),
        "table": {name: asdict(found) for name, found in table.items() if found},
        **({"win_rate": asdict(_wins(child, parent, *scored))} if scored else {}),
        **({"kl_to_parent": asdict(moved.child)} if moved else {}),
        "examples": _examples(child, parent),
    }


def _scores(
    child: Sequence[Answer], parent: Sequence[Answer]
) -> tuple[list[float], list[float]] | None:
    """Return the reward model's scores of either side; None without a reward model."""
    ours, theirs = (
        [one.score for one in side if one.score is not None] for side in (child, parent)
    )
    return (ours, theirs) if ours and len(ours) == len(child) else None


def _wins(
    child: Sequence[Answer], parent: Sequence[Answer], ours: list[float], theirs: list[float]
) -> Any:
    """Return how often the reward model prefers the child's answer; equal texts are a tie."""
    return win_rate(
        [
            (one.prompt_id, 0.5 if one.text == other.text or a == b else float(a > b))
            for one, other, a, b in zip(child, parent, ours, theirs, strict=True)
        ]
    )


def _examples(child: Sequence[Answer], parent: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return the first answers to a few prompts, side by side."""
    shown: dict[int, dict[str, Any]] = {}
    for one, other in zip(child, parent, strict=True):
        if len(shown) < EXAMPLES and one.prompt_id not in shown:
            shown[one.prompt_id] = {
                "prompt": one.prompt,
                "child": one.text,
                "parent": other.text,
                "child_score": one.score,
                "parent_score": other.score,
            }
    return list(shown.values())
