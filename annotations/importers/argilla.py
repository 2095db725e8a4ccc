"""Argilla's records: `fields`, and by question what people answered and models suggested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotations.importers.judging import Answers, place_by_number, tiers_of
from annotations.importers.parsing import name_of, quoted
from annotations.importers.reading import (
    Reading,
    candidates_in,
    completion_in,
    prompt_in,
    value_at,
)
from annotations.importers.records import AnySaid, Candidate, Record
from annotations.importers.rows import BadLine

TARGETS = ("prompt", "context", "left", "right", "completion", "completions")


def is_of(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a record."""
    return isinstance(row.get("fields"), dict) and bool(
        {"responses", "suggestions", "vectors", "metadata", "external_id"} & row.keys()
    )


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield the record of an Argilla record."""
    fields = row.get("fields")
    if not isinstance(fields, dict):
        raise BadLine('An Argilla record needs its texts in "fields".')
    places, candidates = _candidates(fields, reading)
    said: list[AnySaid] = []
    for annotator, values in _responses(row.get("responses")):
        answers = Answers(annotator=annotator or reading.annotator)
        _gather(answers, values, places, len(candidates))
        said += answers.said(candidates)
    for agent, values in _suggestions(row.get("suggestions")):
        answers = Answers(annotator=f"model {agent}", by_model=True)
        _gather(answers, values, places, len(candidates))
        said += answers.said(candidates) if not answers.texts else []
    yield Record(
        messages=prompt_in(fields, reading.columns),
        candidates=tuple(candidates),
        said=tuple(said),
        external_id=name_of(row, "external_id", "id"),
    )


def _candidates(
    fields: Mapping[str, Any], reading: Reading
) -> tuple[dict[str, int], list[Candidate]]:
    columns = reading.columns
    candidates = candidates_in(fields, columns)
    if candidates and "completions" not in columns:
        return {columns["left"]: 0, columns["right"]: 1}, candidates
    if not candidates and (text := value_at(fields, columns.get("completion"))) is not None:
        name = columns["completion"]
        return {name: 0}, [Candidate(completion_in(text, name))]
    return {}, candidates


Values = list[tuple[str, Any]]
"""The question and what was answered."""


def _responses(responses: Any) -> Iterator[tuple[str, Values]]:
    """Yield what each person answered, however the version of Argilla writes it down."""
    if isinstance(responses, list):
        for response in responses:
            if not isinstance(response, dict) or response.get("status") == "discarded":
                continue
            given = response.get("values")
            if isinstance(given, dict):
                yield name_of(response, "user_id", "user"), [*given.items()]
        return
    if responses is not None and not isinstance(responses, dict):
        raise BadLine('"responses" has to be an object by question, or a list.')
    people: dict[str, Values] = {}
    for question, answers in (responses or {}).items():
        for answer in answers if isinstance(answers, list) else []:
            if isinstance(answer, dict) and answer.get("status") in (None, "submitted"):
                person = name_of(answer, "user_id", "user")
                people.setdefault(person, []).append((question, answer))
    yield from people.items()


def _suggestions(suggestions: Any) -> Iterator[tuple[str, Values]]:
    if isinstance(suggestions, list):
        suggestions = {
            one["question_name"]: one
            for one in suggestions
            if isinstance(one, dict) and isinstance(one.get("question_name"), str)
        }
    by_agent: dict[str, Values] = {}
    for question, one in (suggestions or {}).items() if isinstance(suggestions, dict) else ():
        if isinstance(one, dict):
            agent = name_of(one, "agent") or "suggestion"
            by_agent.setdefault(agent, []).append((question, one))
    yield from by_agent.items()


def _gather(answers: Answers, values: Values, places: Mapping[str, int], count: int) -> None:
    for question, answer in values:
        value = answer.get("value") if isinstance(answer, dict) else answer
        about = 0 if count == 1 else place_by_number(question, count)
        match value:
            case None:
                pass
            case int() if not isinstance(value, bool):
                answers.rate(question, value, about)
            case str() if count == 0 or not _is_label(answers, question, value, about):
                answers.write(value)
            case str():
                pass
            case [{"value": str()}, *_]:
                answers.tiers = _ranking(value, places, count)
            case [str(), *_]:
                answers.choose(question, [str(one) for one in value], about)
            case _:
                raise BadLine(f"The answer {quoted(value)} to {quoted(question)} can't be read.")


def _is_label(answers: Answers, question: str, value: str, about: int | None) -> bool:
    """Take a text as a label if it says which is better; a text of its own is none."""
    before = answers.outcome
    if "\n" in value or len(value) > 50 or " " in value.strip():
        return False
    try:
        answers.choose(question, [value], None)
    except BadLine:
        return False
    return answers.outcome != before or bool(answers.strength)


def _ranking(
    value: list[Any], places: Mapping[str, int], count: int
) -> tuple[tuple[int, ...], ...]:
    ranks: dict[int, int] = {}
    for one in value:
        name = str(one.get("value")) if isinstance(one, dict) else ""
        place = places.get(name, place_by_number(name, count))
        rank = one.get("rank") if isinstance(one, dict) else None
        if place is None or isinstance(rank, bool) or not isinstance(rank, int):
            raise BadLine(f"The ranking names {quoted(name)}, which is no completion here.")
        ranks[place] = rank
    return tiers_of(ranks)
