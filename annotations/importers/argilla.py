"""Argilla's records: `fields`, and by question what people answered and models suggested.

As JSON a record has them inside, as a row of a data set each question is columns of its own: both
versions' exports to Hugging Face are such rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotations.importers.judging import Answers, place_by_number, says_strength, tiers_of
from annotations.importers.parsing import name_of, quoted
from annotations.importers.reading import (
    Reading,
    candidates_in,
    completion_in,
    one_each,
    outcome_of,
    prompt_and_answer_in,
    prompt_in,
    value_at,
)
from annotations.importers.records import AnySaid, Candidate, Record
from annotations.importers.rows import BadLine

TARGETS = ("prompt", "context", "left", "right", "completion", "completions")
LONGEST_LABEL = 50
ANSWERED = ".responses"
SUGGESTED = ".suggestion"
"""Behind a question's name, in the data sets of Argilla 2."""
SUGGESTED_BEFORE = "-suggestion"
ABOUT_SUGGESTED_BEFORE = "-suggestion-metadata"
"""The same in those of Argilla 1, where the question's own name holds what people answered."""
ANSWER_BEFORE = {"user_id", "value", "status"}
OF_THE_RECORD = {"id", "external_id", "_server_id", "status", "metadata"}


def is_of(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a record."""
    if isinstance(row.get("fields"), dict):
        return bool({"responses", "suggestions", "vectors", "metadata", "external_id"} & row.keys())
    return any(
        (name.endswith(ANSWERED) and f"{name}.users" in row) or _is_question_before(row, name)
        for name in row
    )


def fields_of(row: Mapping[str, Any]) -> Any:
    """Return the texts of a record, however it is written down."""
    return _nested(row).get("fields")


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield the record of an Argilla record."""
    row = _nested(row)
    fields = row.get("fields")
    if not isinstance(fields, dict):
        raise BadLine('An Argilla record needs its texts in "fields".')
    places, candidates = _candidates(fields, reading)
    if candidates:
        messages = prompt_in(fields, reading.columns)
    else:
        messages, candidates = prompt_and_answer_in(fields, reading.columns)
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
        messages=messages,
        candidates=tuple(candidates),
        said=tuple(said),
        external_id=name_of(row, "external_id", "id"),
    )


def _nested(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record as it is in JSON: a row of a data set has a question's answers in columns."""
    if "fields" in row or not is_of(row):
        return row
    responses: dict[str, Any] = {}
    suggestions: dict[str, Any] = {}
    fields = {name: value for name, value in row.items() if name not in OF_THE_RECORD}
    for name in row:
        question, about = name, f"{name}{ABOUT_SUGGESTED_BEFORE}"
        if name.endswith(ANSWERED):
            question = name.removesuffix(ANSWERED)
            told = {"value": row[name], "user_id": row.get(f"{name}.users")}
            responses[question] = _answers(told | {"status": row.get(f"{name}.status")})
            parts = [name, f"{name}.users", f"{name}.status"]
        elif name.endswith(SUGGESTED):
            question = name.removesuffix(SUGGESTED)
            suggestions[question] = {"value": row[name], "agent": row.get(f"{name}.agent")}
            parts = [name, f"{name}.agent", f"{name}.score"]
        elif _is_question_before(row, name):
            responses[question] = _answers(row[name])
            agent = value_at(row, f"{about}.agent")
            value = row.get(f"{name}{SUGGESTED_BEFORE}")
            suggestions[question] = {"value": value, "agent": agent}
            parts = [name, f"{name}{SUGGESTED_BEFORE}", about]
        else:
            continue
        fields = {field: value for field, value in fields.items() if field not in parts}
    return {**row, "fields": fields, "responses": responses, "suggestions": suggestions}


def _is_question_before(row: Mapping[str, Any], name: str) -> bool:
    """Return whether a column holds what people answered to a question of Argilla 1."""
    answers = row[name]
    one = answers[0] if isinstance(answers, list) and answers else answers
    return f"{name}{ABOUT_SUGGESTED_BEFORE}" in row or (
        isinstance(one, dict) and one.keys() == ANSWER_BEFORE
    )


def _answers(told: Any) -> Any:
    """Return answers one by one; a data set may hold their values, people and states apart."""
    if not isinstance(told, dict):
        return told
    names = [name for name, values in told.items() if isinstance(values, list)]
    each = zip(*(told[name] for name in names), strict=False)
    return [dict(zip(names, one, strict=True)) for one in each]


def _candidates(
    fields: Mapping[str, Any], reading: Reading
) -> tuple[dict[str, int], list[Candidate]]:
    columns = reading.columns
    candidates = candidates_in(fields, columns)
    if candidates and "completions" not in columns:
        names = one_each(fields, columns, "left", "right")
        return {name: place for place, name in enumerate(names)}, candidates
    if not candidates and (text := value_at(fields, columns.get("completion"))) is not None:
        name = columns["completion"]
        return {name: 0}, [Candidate(completion_in(text, name))]
    return {}, candidates


Values = list[tuple[str, Any]]
"""The question and what was answered."""


def _responses(responses: Any) -> Iterator[tuple[str, Values]]:
    """Yield what each person handed in, however the version of Argilla writes it down."""
    if isinstance(responses, list):
        for response in responses:
            if not isinstance(response, dict) or not _is_handed_in(response):
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
            if isinstance(answer, dict) and _is_handed_in(answer):
                person = name_of(answer, "user_id", "user")
                people.setdefault(person, []).append((question, answer))
    yield from people.items()


def _is_handed_in(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer is neither a draft nor discarded."""
    return answer.get("status") in (None, "submitted")


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
            case None | []:
                pass
            case int() if not isinstance(value, bool):
                answers.rate(question, value, about)
            case str() if count == 2 and value in places:
                answers.outcome = ("left", "right")[places[value]]
            case str() if count > 2 and value in places:
                raise BadLine(
                    f"{quoted(question)} names one of {count} completions. What is read is which "
                    "of two is better, or a ranking of all."
                )
            case str() if count and _is_label(question, value, about):
                answers.choose(question, [value], about)
            case str():
                answers.write(value)
            case [{"value": str()}, *_]:
                answers.tiers = _ranking(value, places, count)
            case [str(), *_] if tiers := _in_order(value, places, count):
                answers.tiers = tiers
            case [str(), *_]:
                answers.choose(question, [str(one) for one in value], about)
            case _:
                raise BadLine(f"The answer {quoted(value)} to {quoted(question)} can't be read.")


def _is_label(question: str, value: str, about: int | None) -> bool:
    """Return whether a text is a label: records do not say which questions ask for a text.

    What says which of two is better, or how much, is one; about a completion a word alone is.
    """
    if about is None:
        return outcome_of(value) is not None or says_strength(question, value)
    return len(value) <= LONGEST_LABEL and len(value.split()) == 1


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


def _in_order(
    value: list[Any], places: Mapping[str, int], count: int
) -> tuple[tuple[int, ...], ...]:
    """Return the ranking that a list of names is, best first, as Argilla 2 writes rankings.

    Nothing, if it does not name each of several completions once: then they are labels.
    """
    named = [places.get(str(one), place_by_number(str(one), count)) for one in value]
    if count < 2 or sorted(place for place in named if place is not None) != [*range(count)]:
        return ()
    return tuple((place,) for place in named if place is not None)
