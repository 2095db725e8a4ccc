"""Whether answers show a fault that was reported once: the checks of regression cases.

A check is a forbidden pattern, a rubric of named rules, or a reward model that must not prefer
the rewrite. Each answer that a checkpoint gives to the prompt must pass, and none may be the
reported answer word for word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from annotations.algorithms.haiku import (
    count_line_syllables,
    find_poem,
    is_on_topic,
    repeats_itself,
)
from annotations.algorithms.text import same_words

MAX_PATTERN_CHARS = 200
MOST_REPETITIONS = 10_000
"""All counted repetitions of a pattern, multiplied: nested ones are written out to be searched."""
COUNTED = regex.compile(r"\{(\d*),?(\d*)\}")
PATTERN_SECONDS = 0.2
"""A search that takes longer backtracks without end; it is stopped, whatever the pattern is."""
LARGEST_NUMBER = 20_000
MAX_LINES = 100
LONGEST_QUOTE = 60


class CheckError(ValueError):
    """A check that cannot be carried out. Its message is a sentence for who wrote it."""


@dataclass(frozen=True)
class Check:
    """What an answer must not do, or must do."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """What a reward model makes of the texts about one prompt."""

    answers: Sequence[float]
    reported: float
    rewrite: float


@dataclass(frozen=True)
class Verdict:
    """Whether all answers passed, and in words why."""

    passed: bool
    text: str


RULES = {
    "not_empty": "It says something",
    "no_repetition": "No line comes twice, and no weighty word three times",
    "on_topic": "It has a word of the prompt's subject",
    "no_chatter": "Nothing stands around the poem: no preface, title or explanation",
    "lines": "Number of lines",
    "syllables": "Syllables of each line",
    "most_characters": "Most characters",
}
"""The rules of a rubric. The last three are stated by a number, or by one for each line."""
NUMBERED = ("lines", "most_characters")


def validate(check: Check) -> None:
    """Raise CheckError unless the check can be carried out.

    >>> validate(Check("rubric", {"rules": []}))
    Traceback (most recent call last):
    annotations.algorithms.regressions.CheckError: Choose at least one rule.
    """
    match check.kind:
        case "pattern":
            _compile(str(check.parameters.get("pattern", "")))
        case "rubric":
            _validate_rubric(check.parameters)
        case "reward":
            _validate_margin(check.parameters.get("margin", 0.0))
        case kind:
            raise CheckError(f"There is no check called “{kind}”. Choose another.")


def objections(check: Check, prompt: str, *, reported: str, rewrite: str | None) -> list[str]:
    """Return why a check would not tell the reported answer from its rewrite, in sentences.

    What a reward model prefers is known only when it is asked.

    >>> frogs = Check("pattern", {"pattern": "frogs"})
    >>> objections(frogs, "", reported="frogs frogs", rewrite="a frog")
    []
    >>> len(objections(frogs, "", reported="a frog", rewrite="frogs"))
    2
    """
    if check.kind == "reward":
        return []
    found = []
    if not fault_of(check, prompt, reported):
        found.append(
            "The reported answer passes this check, so the check would not see the fault. "
            "Make it stricter."
        )
    if rewrite is not None and (fault := fault_of(check, prompt, rewrite)):
        found.append(f"The rewrite fails this check: {fault}. Make it less strict.")
    return found


def fault_of(check: Check, prompt: str, text: str) -> str:
    """Return what a text does wrong, or nothing. Not for a check by a reward model."""
    if check.kind == "pattern":
        matched = find(str(check.parameters["pattern"]), text)
        return "" if matched is None else f"it has “{_quote(matched)}”, which is forbidden"
    broken = [FAULTS[rule](check.parameters, prompt, text) for rule in check.parameters["rules"]]
    return "; ".join(filter(None, broken))


def judge(
    check: Check,
    prompt: str,
    answers: Sequence[str],
    *,
    reported: str,
    scores: Scores | None = None,
) -> Verdict:
    """Return whether every answer passes; of several that fail the first is quoted.

    >>> frogs = Check("pattern", {"pattern": "frogs"})
    >>> judge(frogs, "", ["a frog", "frogs"], reported="frogs, frogs")
    Verdict(passed=False, text='1 of 2 answers fails: it has “frogs”, which is forbidden.')
    >>> judge(frogs, "", ["a frog"], reported="frogs").passed
    True
    """
    if not answers:
        return Verdict(False, "There was no answer to check.")
    if check.kind == "reward" and (doubt := _doubt(scores, answers)):
        return Verdict(False, doubt)
    faults = [
        _fault_of_answer(check, prompt, answer, reported, scores, place)
        for place, answer in enumerate(answers)
    ]
    failed = [fault for fault in faults if fault]
    if not failed:
        return Verdict(True, f"{_answers(len(answers))} passed.")
    verb = "fails" if len(failed) == 1 else "fail"
    return Verdict(False, f"{len(failed)} of {_answers(len(answers))} {verb}: {failed[0]}.")


def find(pattern: str, text: str) -> str | None:
    r"""Return the first part of a text that a pattern matches, or None.

    Case does not matter, and ``^`` and ``$`` stand for the ends of a line. Raise CheckError where
    the search takes too long, as with nested repetitions.

    >>> find(r"^the (\w+)", "A frog.\nThe pond.")
    'The pond'
    """
    try:
        matched = _compile(pattern).search(text, timeout=PATTERN_SECONDS)
    except TimeoutError:
        raise CheckError(
            "The pattern takes too long to search for. Repetitions within repetitions, such as "
            "(a+)+, do that; write it without them."
        ) from None
    return None if matched is None else str(matched[0])


def _compile(pattern: str) -> Any:
    if not pattern:
        raise CheckError("The pattern is empty. Write what no answer may have.")
    if len(pattern) > MAX_PATTERN_CHARS:
        raise CheckError(
            f"The pattern has {len(pattern)} characters, and at most {MAX_PATTERN_CHARS} fit. "
            "Shorten it."
        )
    _check_repetitions(pattern)
    try:
        compiled = regex.compile(pattern, regex.IGNORECASE | regex.MULTILINE | regex.VERSION0)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise CheckError(f"The pattern cannot be read: {error}. Correct it.") from None
    if compiled.search("") is not None:
        raise CheckError("The pattern matches an empty text, so it would forbid every answer.")
    return compiled


def _check_repetitions(pattern: str) -> None:
    product = 1
    for low, high in COUNTED.findall(pattern):
        product *= max(int(low or 1), int(high or 1), 1)
    if product > MOST_REPETITIONS:
        raise CheckError(
            f"The pattern repeats parts of itself {product:,} times, and at most "
            f"{MOST_REPETITIONS:,} can be searched for. Count less, or use * and +."
        )


def _validate_rubric(parameters: Mapping[str, Any]) -> None:
    rules = parameters.get("rules") or []
    if not rules:
        raise CheckError("Choose at least one rule.")
    if unknown := sorted(set(rules) - set(RULES)):
        raise CheckError(f"There is no rule called “{unknown[0]}”. Choose among those shown.")
    for name in NUMBERED:
        if name in rules and not _is_count(parameters.get(name), LARGEST_NUMBER):
            raise CheckError(f"Say how many {name.removeprefix('most_')} an answer may have.")
    if "syllables" in rules:
        wanted = parameters.get("syllables") or []
        if not 1 <= len(wanted) <= MAX_LINES or not all(_is_count(n, 100) for n in wanted):
            raise CheckError("Say how many syllables each line has: 5, 7, 5 for a haiku.")


def _validate_margin(margin: Any) -> None:
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin <= 100:
        raise CheckError("The margin is a number from 0 to 100.")


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _fault_of_answer(
    check: Check, prompt: str, answer: str, reported: str, scores: Scores | None, place: int
) -> str:
    if same_words(answer) == same_words(reported):
        return "it is the reported answer again"
    if check.kind != "reward":
        return fault_of(check, prompt, answer)
    assert scores is not None  # else there is a doubt
    behind = scores.rewrite - scores.answers[place]
    if behind <= check.parameters.get("margin", 0.0):
        return ""
    return f"the reward model prefers the rewrite by {behind:.2f}"


def _doubt(scores: Scores | None, answers: Sequence[str]) -> str:
    """Return why a reward model cannot tell, or nothing."""
    if scores is None or len(scores.answers) != len(answers):
        return "No reward model scored the answers. Run the cases with one."
    if scores.rewrite <= scores.reported:
        return (
            "The reward model does not prefer the rewrite to the reported answer, so it cannot "
            "see the fault. Train it on the rewrite, or choose another check."
        )
    return ""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _empty(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    return "" if text.strip() else "it is empty"


def _repetition(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    return "it repeats itself" if repeats_itself(_lines(text)) else ""


def _off_topic(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    return "" if is_on_topic(prompt, text) else "it has no word of the prompt's subject"


def _chatter(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    return "something stands around the poem" if find_poem(text).has_chatter else ""


def _wrong_lines(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    count, wanted = len(_lines(text)), parameters["lines"]
    return "" if count == wanted else f"it has {count} lines, not {wanted}"


def _wrong_syllables(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    counted = [count_line_syllables(line) for line in _lines(text)[: MAX_LINES + 1]]
    wanted = list(parameters["syllables"])
    if counted == wanted:
        return ""
    shown = "-".join(map(str, counted[:MAX_LINES])) or "none"
    return f"its lines have {shown} syllables, not {'-'.join(map(str, wanted))}"


def _too_long(parameters: Mapping[str, Any], prompt: str, text: str) -> str:
    length, most = len(text.strip()), parameters["most_characters"]
    return "" if length <= most else f"it has {length:,} characters, more than {most:,}"


FAULTS: Mapping[str, Callable[[Mapping[str, Any], str, str], str]] = {
    "not_empty": _empty,
    "no_repetition": _repetition,
    "on_topic": _off_topic,
    "no_chatter": _chatter,
    "lines": _wrong_lines,
    "syllables": _wrong_syllables,
    "most_characters": _too_long,
}


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _quote(text: str) -> str:
    flat = same_words(text)
    return flat if len(flat) <= LONGEST_QUOTE else f"{flat[:LONGEST_QUOTE]}…"
