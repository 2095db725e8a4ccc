"""Rows whose columns are named: whatever has a prompt, completions and perhaps a vote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from annotations.importers.parsing import messages_of, name_of, quoted
from annotations.importers.reading import (
    STRENGTHS,
    Reading,
    candidates_in,
    completion_in,
    conversation,
    expect_good,
    expect_outcome,
    is_answered,
    prompt_in,
    reason_in,
    tags_in,
    text_in,
    value_at,
)
from annotations.importers.records import (
    AnySaid,
    Candidate,
    Chosen,
    Ordered,
    Rated,
    Record,
    Written,
)
from annotations.importers.rows import BadLine, Messages


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield the record of a row, by what its columns are."""
    columns = reading.columns
    messages = _prompt(row, columns)
    candidates = candidates_in(row, columns)
    if not candidates and (candidates := _no_ideal_answer(row, columns)):
        columns = {target: name for target, name in columns.items() if target != "completion"}
        reading = replace(reading, columns=columns)
    if len({(one.text, one.model) for one in candidates}) < len(candidates):
        raise BadLine("Two of the completions are the same, so there is nothing to compare.")
    yield Record(
        messages=messages,
        candidates=tuple(candidates),
        said=tuple(_said(row, reading, candidates)),
        external_id=text_in(row, columns, "id"),
        tags=tags_in(row, columns),
    )


def _no_ideal_answer(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[Candidate]:
    """Return the completion of a row if a model wrote it, or if it is said whether it is good."""
    model = text_in(row, columns, "model")
    if "completion" not in columns or not (model or "label" in columns):
        return []
    # A model may have written nothing, and somebody have found that bad.
    name = columns["completion"]
    return [Candidate(completion_in(value_at(row, name), name), model)]


def _prompt(row: Mapping[str, Any], columns: Mapping[str, str]) -> Messages:
    """Return the prompt; without a column of its own, what chosen and rejected begin with."""
    if "prompt" in columns:
        turns = conversation(value_at(row, columns["prompt"]))
        if "completion" not in columns and is_answered(turns):
            return messages_of({"prompt": turns[:-1]})
        return prompt_in(row, columns)
    chosen, rejected = (
        conversation(value_at(row, columns.get(name))) for name in ("chosen", "rejected")
    )
    if not isinstance(chosen, list) or not isinstance(rejected, list):
        raise BadLine("No column is the prompt. Say which one is.")
    if chosen[:-1] != rejected[:-1]:
        raise BadLine("Chosen and rejected differ before their last messages: two prompts.")
    return messages_of({"prompt": chosen[:-1]})


def _said(
    row: Mapping[str, Any], reading: Reading, candidates: list[Candidate]
) -> Iterator[AnySaid]:
    columns = reading.columns
    if "votes" in columns:
        yield from _votes(row, reading, candidates)
        return
    annotator = text_in(row, columns, "annotator") or reading.annotator
    reason = reason_in(value_at(row, columns.get("reason")))
    models = [one.model for one in candidates]
    if "completions" in columns:
        if "ranks" in columns:
            tiers = _tiers(value_at(row, columns["ranks"]), len(candidates))
            yield Ordered(annotator=annotator, reason=reason, tiers=tiers)
    elif "chosen" in columns and "rejected" in columns:
        strength = _strength(value_at(row, columns.get("strength")), "left")
        yield Chosen(
            annotator=annotator, reason=reason, left=0, right=1, outcome="left", strength=strength
        )
    elif len(candidates) == 2 and (found := value_at(row, columns.get("winner"))) not in (None, ""):
        outcome = expect_outcome(found, models)
        strength = _strength(value_at(row, columns.get("strength")), outcome)
        yield Chosen(
            annotator=annotator, reason=reason, left=0, right=1, outcome=outcome, strength=strength
        )
    elif candidates and "label" in columns:
        good = expect_good(value_at(row, columns["label"]))
        yield Rated(annotator=annotator, reason=reason, flags={0: {"good": good}})
    if text := _written(row, columns):
        yield Written(annotator=annotator, reason=reason, text=text)


def _written(row: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    if "completion" in columns:
        return _filled(row, columns["completion"])
    turns = conversation(value_at(row, columns.get("prompt")))
    return _filled(row, columns["prompt"]) if is_answered(turns) else ""


def _filled(row: Mapping[str, Any], column: str) -> str:
    text = completion_in(value_at(row, column), column)
    if not text.strip():
        raise BadLine(f"{quoted(column)} is empty. Leave the row out.")
    return text


def _votes(
    row: Mapping[str, Any], reading: Reading, candidates: list[Candidate]
) -> Iterator[AnySaid]:
    votes = value_at(row, reading.columns["votes"])
    if not isinstance(votes, list) or len(candidates) != 2:
        raise BadLine("Votes are a list of objects with an annotator and a winner, on two texts.")
    models = [one.model for one in candidates]
    for vote in votes:
        if not isinstance(vote, dict):
            raise BadLine("A vote has to be an object with an annotator and a winner.")
        outcome = expect_outcome(vote.get("winner", vote.get("choice")), models)
        annotator = name_of(vote, "annotator", "worker", "judge")
        if not annotator and len(votes) > 1:
            raise BadLine("Of several votes each has to name its annotator: one has one vote.")
        yield Chosen(
            annotator=annotator or reading.annotator,
            left=0,
            right=1,
            outcome=outcome,
            strength=_strength(vote.get("strength"), outcome),
        )


def _strength(value: Any, outcome: str) -> str:
    if value is None or value == "":
        return ""
    if value not in STRENGTHS or outcome not in ("left", "right"):
        raise BadLine(
            f"How much better is one of {', '.join(STRENGTHS)}, and only with a winner; "
            f"not {quoted(value)}."
        )
    return str(value)


def _tiers(ranks: Any, count: int) -> tuple[tuple[int, ...], ...]:
    """Return places by rank, the best first; equal ranks are one tier."""
    if (
        not isinstance(ranks, list)
        or len(ranks) != count
        or not all(isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks)
    ):
        raise BadLine(f"The ranks have to be a list of {count} whole numbers.")
    places = sorted(range(count), key=lambda place: ranks[place])
    return tuple(tuple(tier) for _, tier in groupby(places, key=lambda place: ranks[place]))
