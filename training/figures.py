"""Turn what a run reported into figures that a page shows: each with its interval and its n."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.charts import short

PERCENT = "\u00a0%"
"""Kept on the line of its number."""


@dataclass(frozen=True)
class Figure:
    """One number, what it is, and what it rests on."""

    label: str
    value: str
    note: str = ""


def result_figures(stage: str, results: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of a finished run, the one that matters first, then all others.

    >>> found = result_figures("ppo", {"kl": 1.5, "score_before": -2.0, "score_after": 0.5})
    >>> [(figure.label, figure.value, figure.note) for figure in found]
    [('Score', '0.5', 'before: −2'), ('KL', '1.5', 'nats per completion')]
    """
    rest = dict(results)
    figures = [f for f in _LEADING.get(stage, _nothing)(rest) if f is not None]
    for name, value in rest.items():
        if isinstance(value, bool) or value is None or isinstance(value, str | int | float):
            figures.append(Figure(_words(name), _plain(value)))
    return figures


def percent(value: float | None) -> str:
    r"""Return a share in percent.

    >>> percent(0.6449), percent(None)
    ('64.5\xa0%', '–')
    """
    return "–" if value is None else f"{value * 100:.1f}{PERCENT}"


def interval(low: float | None, high: float | None, n: int | None) -> str:
    r"""Return a 95 % interval with its n in words.

    >>> interval(0.551, 0.724, 120)
    '95\xa0% interval 55.1–72.4\xa0%, n = 120'
    """
    if low is None or high is None:
        return f"n = {n}" if n is not None else ""
    text = f"95{PERCENT} interval {bounds(low, high)}"
    return f"{text}, n = {n}" if n is not None else f"{text}, n unknown"


def bounds(low: float | None, high: float | None) -> str:
    r"""Return the ends of an interval of shares.

    >>> bounds(0.551, 0.724)
    '55.1–72.4\xa0%'
    """
    return "" if low is None or high is None else f"{low * 100:.1f}–{high * 100:.1f}{PERCENT}"


def duration(seconds: float | None) -> str:
    """Return a time span in the two units that matter.

    >>> [duration(s) for s in (0.4, 42, 61, 600, 3700, 90_000, None)]
    ['under 1 s', '42 s', '1 min 1 s', '10 min', '1 h 1 min', '1 d 1 h', '–']
    """
    if seconds is None:
        return "–"
    if seconds < 1:
        return "under 1 s"
    whole = int(seconds)
    for size, unit, smaller, small_unit in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            big, small = whole // size, whole % size // smaller
            return f"{big} {unit} {small} {small_unit}" if small else f"{big} {unit}"
    return f"{whole} s"


def _sft(rest: dict[str, Any]) -> list[Figure | None]:
    held_out = rest.pop("eval_rows", None)
    note = "cross-entropy per token"
    if held_out is not None:
        note += f", n = {held_out} demonstrations"
    return [_take(rest, "eval_loss", "Held-out loss", note=note), *_counts(rest)]


def _reward(rest: dict[str, Any]) -> list[Figure | None]:
    accuracy = rest.pop("heldout_accuracy", None)
    low, high = rest.pop("heldout_low", None), rest.pop("heldout_high", None)
    votes = rest.pop("heldout_votes", None)
    pairs, prompts = rest.pop("heldout_pairs", None), rest.pop("heldout_prompts", None)
    held_out = None
    if accuracy is not None or pairs is not None:
        note = interval(low, high, votes or pairs)
        note += f" votes on {pairs} pairs" if votes else " pairs" if prompts else ""
        note += f" of {prompts} prompts" if prompts else ""
        if rest.pop("heldout_by", "prompt") == "pair":
            note += "; no prompt could be held out, so completions may be known from training"
        held_out = Figure("Held-out accuracy", percent(accuracy), note)
    people = _people(rest.pop("human_agreement", None)) if votes else None
    return [held_out, people, _calibration(rest), _length(rest), *_scores(rest), *_counts(rest)]


def _people(agreement: dict[str, Any] | None) -> Figure:
    """Return how far people agree: what the accuracy on single votes is to be read beside."""
    if not agreement:
        return Figure("Human agreement", "unknown", "no pair was judged by two people")
    note = interval(agreement["low"], agreement["high"], agreement["n"])
    return Figure("Human agreement", percent(agreement["value"]), f"two people on one pair; {note}")


def _calibration(rest: dict[str, Any]) -> Figure | None:
    error = rest.pop("calibration_error", None)
    if error is None:
        return None
    note = "mean distance between what it predicts and what people chose"
    return Figure("Calibration error", percent(error), note)


def _length(rest: dict[str, Any]) -> Figure | None:
    value, n = rest.pop("length_correlation", None), rest.pop("length_completions", None)
    model, people = rest.pop("longer_preferred", None), rest.pop("longer_preferred_by_people", None)
    pairs = rest.pop("longer_pairs", None)
    if n is None:
        return None
    note = f"score with length, n = {n} held-out completions"
    if model is not None and people is not None:
        note += f"; it prefers the longer in {percent(model)} of {pairs} pairs, people in "
        note += percent(people)
    return Figure("Length correlation", _plain(value), note)


def _scores(rest: dict[str, Any]) -> list[Figure | None]:
    of, centre, n = (rest.pop(k, None) for k in ("centred_on", "score_centre", "centred_on_texts"))
    mean, spread = rest.pop("score_mean", None), rest.pop("score_std", None)
    if mean is None:
        return []
    note = f"of held-out completions, spread {_plain(spread)}"
    if of is not None:
        note += f"; 0 is the mean of {n} {of} ({_plain(centre)} before)"
    return [Figure("Mean score", _plain(mean), note)]


def _ppo(rest: dict[str, Any]) -> list[Figure | None]:
    before = rest.pop("score_before", None)
    rest.pop("stopped_early", None)  # stands above the figures, as a sentence
    length_before = rest.pop("length_before", None)
    prompts = rest.pop("score_prompts", None)
    note = f"before: {_plain(before)}" if before is not None else ""
    note += f", n = {prompts} held-out prompts" if prompts else ""
    return [
        _take(rest, "score_after", "Score", note=note),
        _take(rest, "kl", "KL", note="nats per completion"),
        _take(
            rest,
            "length_after",
            "Length",
            note=f"tokens; before: {_plain(length_before)}" if length_before is not None else "",
        ),
        _take(rest, "published_step", "Published", note="the policy of this step"),
        _take(rest, "episodes", "Episodes"),
    ]


def _dpo(rest: dict[str, Any]) -> list[Figure | None]:
    accuracy, *counts = _reward(rest)
    moved = _take(rest, "heldout_margin", "Held-out margin", note="implied reward")
    return [accuracy, moved, _kl(rest), *counts]


def _kto(rest: dict[str, Any]) -> list[Figure | None]:
    accuracy, *counts = _reward(rest)
    rows = [_take(rest, f"train_{kind}", f"{kind.title()} completions") for kind in ("good", "bad")]
    return [accuracy, _kl(rest), *rows, *counts]


def _rejection(rest: dict[str, Any]) -> list[Figure | None]:
    unended = _take(rest, "left_out_unended", "Left out", note="never ended")
    return [*_best_of(rest), unended, *_sft(rest)]


def _kl(rest: dict[str, Any]) -> Figure | None:
    prompts = rest.pop("kl_prompts", None)
    note = "nats per completion" + (f", n = {prompts} prompts" if prompts else "")
    return _take(rest, "kl", "KL", note=note)


def _sample(rest: dict[str, Any]) -> list[Figure | None]:
    found = [_take(rest, "completions", "Completions"), _take(rest, "items", "Items")]
    why = str(rest.pop("why_left_out", ""))
    return [*found, _take(rest, "left_out", "Left out", note=why), *_best_of(rest)]


def _best_of(rest: dict[str, Any]) -> list[Figure | None]:
    """Return what the best of n are worth, where candidates were chosen from."""
    before = rest.pop("score_before", None)
    note = f"what they were chosen from: {_plain(before)}" if before is not None else ""
    ended, drawn = rest.pop("candidates_ended", None), rest.pop("candidates", None)
    if drawn:
        note += f", the {_plain(ended)} of {_plain(drawn)} candidates that ended"
    return [
        _take(rest, "score_after", "Score of the best", note=note),
        _take(rest, "kl_bound", "KL at most", note="nats per completion"),
    ]


def _suite(rest: dict[str, Any]) -> list[Figure | None]:
    wins = rest.pop("win_rate", None)
    note = interval(wins["low"], wins["high"], wins["n"]) if wins else ""
    return [
        Figure("Win rate by the reward model", percent(wins["rate"]), note) if wins else None,
        _take(rest, "prompts", "Prompts"),
        _take(rest, "answers", "Answers", note="of either checkpoint"),
    ]


def _export(rest: dict[str, Any]) -> list[Figure | None]:
    same, compared = rest.pop("same_tokens", None), rest.pop("compared_tokens", None)
    size, off = rest.pop("bytes", None), rest.pop("logits_off_by", None)
    agreement = None
    if same is not None:
        note = f"the policy's choice at each position; logits off by {percent(off)} at most"
        agreement = Figure("Same tokens", f"{same} of {compared}", note)
    return [
        _take(rest, "folder", "Folder", note="opens with AutoModelForCausalLM.from_pretrained"),
        Figure("Size", f"{size / 1e6:,.0f}\u00a0MB") if size is not None else None,
        agreement,
    ]


def _counts(rest: dict[str, Any]) -> list[Figure | None]:
    return [
        _take(rest, "rows", "Rows"),
        _take(rest, "train_pairs", "Training pairs"),
        _take(rest, "left_out_too_long", "Left out", note="longer than max length"),
    ]


def _nothing(rest: dict[str, Any]) -> list[Figure | None]:
    return []


_LEADING = {
    "sft": _sft,
    "reward": _reward,
    "ppo": _ppo,
    "dpo": _dpo,
    "kto": _kto,
    "grpo": _ppo,
    "rloo": _ppo,
    "rejection": _rejection,
    "sample": _sample,
    "export": _export,
    "suite": _suite,
}


def _take(rest: dict[str, Any], name: str, label: str, note: str = "") -> Figure | None:
    value = rest.pop(name, None)
    return None if value is None else Figure(label, _plain(value), note)


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return short(value) if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    words = name.replace("_", " ").replace("/", ": ")
    return words[:1].upper() + words[1:]
