"""Label Studio's tasks: `data`, and what people (`annotations`) and models (`predictions`) said.

Read are pairwise, ranker (one list, a list by the control's name, buckets), textarea, rating and
choices, whatever the controls are called. Which field of `data` is what can be corrected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from annotations.importers.judging import BAD_BUCKETS, Answers
from annotations.importers.parsing import name_of, quoted
from annotations.importers.reading import (
    Reading,
    candidates_in,
    completion_in,
    one_each,
    prompt_and_answer_in,
    prompt_in,
    tags_in,
    value_at,
)
from annotations.importers.records import AnySaid, Candidate, Record
from annotations.importers.rows import BadLine

TARGETS = (
    "prompt",
    "context",
    "left",
    "right",
    "completions",
    "completion",
    "left_model",
    "right_model",
    "model",
    "id",
    "tags",
)
USUAL = {
    "prompt": "prompt",
    "left": "answer1",
    "right": "answer2",
    "completions": "items",
    "completion": "answer",
    "id": "id",
    "tags": "tags",
}
"""As Label Studio's own templates call them, and the export of a project."""
UNSORTED = "_"
_TIER = re.compile(r"tier_(\d{1,3})")
REASON = "reason"
"""As the export of a project calls it: behind the text of a rewrite it is no other text."""
MAX_MS = 2**31 - 1


def is_of(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a task."""
    return isinstance(row.get("data"), dict) and bool(
        {"annotations", "predictions", "completions", "id", "drafts"} & row.keys() or len(row) == 1
    )


def data_of(row: Mapping[str, Any]) -> Any:
    """Return what a task is about."""
    return row.get("data")


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield the record of a task."""
    data = data_of(row)
    if not isinstance(data, dict):
        raise BadLine('A task needs its fields in "data".')
    # A project's tasks may be of several kinds: a column that this one has not is none of its own.
    present = {
        what: name for what, name in reading.columns.items() if value_at(data, name) is not None
    }
    signed, models = (_named(row.get("meta"), what) for what in ("annotators", "models"))
    reading = replace(reading, columns=present)
    task = _Task(data, reading, models)
    said: list[AnySaid] = []
    # What models wrote is among the completions before people's answers are about one of them.
    for prediction in _listed(row, "predictions"):
        said += task.of_model(prediction)
    for annotation in _listed(row, "annotations"):
        said += task.of_person(annotation, signed)
    yield Record(
        messages=task.messages,
        candidates=tuple(task.candidates),
        said=tuple(said),
        external_id=name_of(data if data.get("id") is not None else row, "id"),
        tags=tags_in(data, reading.columns),
    )


def _named(meta: Any, what: str) -> dict[str, str]:
    """Return who said or wrote what, by its name, where a task tells beside its annotations."""
    named = meta.get(what) if isinstance(meta, dict) else None
    if not isinstance(named, dict):
        return {}
    return {name: name_of({"who": who}, "who") for name, who in named.items()}


def _listed(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = row.get(name) or []
    if not isinstance(value, list):
        raise BadLine(f"{quoted(name)} has to be a list.")
    # The list view's export has only the numbers of predictions.
    return [one for one in value if isinstance(one, dict)]


class _Task:
    """The completions of a task, and how answers point at them."""

    def __init__(
        self, data: Mapping[str, Any], reading: Reading, models: Mapping[str, str]
    ) -> None:
        self.data, self.reading = data, reading
        columns = reading.columns
        self.candidates = candidates_in(data, columns)
        self.places: dict[str, int] = {}
        """By the name of a field of `data`, or the id of an entry of a list."""
        if "completions" in columns:
            for place, one in enumerate(value_at(data, columns["completions"])):
                if isinstance(one, dict) and isinstance(one.get("id"), str | int):
                    self.places[str(one["id"])] = place
        elif self.candidates:
            names = one_each(data, columns, "left", "right")
            self.places = {name: place for place, name in enumerate(names)}
        elif "completion" in columns and value_at(data, columns["completion"]) is not None:
            text = completion_in(value_at(data, columns["completion"]), columns["completion"])
            model = value_at(data, columns.get("model"))
            self.candidates = [Candidate(text, name_of({"model": model}, "model"))]
            self.places = {columns["completion"]: 0}
        if self.candidates:
            self.messages = prompt_in(data, columns)
        else:
            self.messages, self.candidates = prompt_and_answer_in(data, columns)
        for name, place in self.places.items():
            if model := models.get(name):
                self.candidates[place] = replace(self.candidates[place], model=model)

    def of_person(self, annotation: Mapping[str, Any], signed: Mapping[str, str]) -> list[AnySaid]:
        if annotation.get("was_cancelled"):
            return []
        answers = Answers(annotator="", wall_ms=_milliseconds(annotation.get("lead_time")))
        self._gather(answers, annotation)
        # Who imported it into Label Studio is not who said it.
        answers.annotator = (
            signed.get(answers.origin)
            or _author(annotation.get("completed_by"))
            or self.reading.annotator
        )
        return answers.said(self.candidates)

    def of_model(self, prediction: Mapping[str, Any]) -> list[AnySaid]:
        model = name_of(prediction, "model_version") or "model"
        answers = Answers(annotator=f"model {model}", by_model=True)
        self._gather(answers, prediction)
        judged = answers.outcome or answers.tiers or answers.scales or answers.flags
        if not judged:
            # An answer that a model wrote is a completion, not something that somebody said.
            self.candidates += [Candidate(text, model) for text in answers.texts]
            return []
        return answers.said(self.candidates)

    def _gather(self, answers: Answers, answered: Mapping[str, Any]) -> None:
        results = answered.get("result") or []
        if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
            raise BadLine('"result" has to be a list of objects.')
        for result in results:
            if not answers.origin and isinstance(result.get("id"), str):
                answers.origin = result["id"][:200]
            self._take(answers, result)

    def _take(self, answers: Answers, result: Mapping[str, Any]) -> None:
        kind, value = result.get("type"), result.get("value")
        name = str(result.get("from_name", ""))[:200]
        if not isinstance(value, dict):
            raise BadLine('A result has to have a "value".')
        match kind:
            case "pairwise":
                selected = value.get("selected")
                if selected not in ("left", "right"):
                    raise BadLine(f'"selected" is left or right, not {quoted(selected)}.')
                answers.outcome = selected
            case "ranker":
                answers.tiers = self._tiers(value.get("ranker"))
            case "textarea" if name == REASON and answers.texts:
                answers.reason = "\n".join(_texts(value.get("text")))
            case "textarea":
                for text in _texts(value.get("text")):
                    answers.write(text)
            case "rating":
                answers.rate(_plain(name, result), value.get("rating"), self._about(result))
            case "choices":
                choices = _texts(value.get("choices"))
                answers.choose(_plain(name, result), choices, self._about(result))
            case _:
                raise BadLine(
                    f"Results of the type {quoted(kind)} are not read; pairwise, ranker, "
                    "textarea, rating and choices are."
                )

    def _about(self, result: Mapping[str, Any]) -> int | None:
        """Return which completion a result is about: the one that it names, or the only one."""
        named = self.places.get(str(result.get("to_name")))
        if named is not None:
            return named
        return 0 if len(self.candidates) == 1 else None

    def _tiers(self, ranker: Any) -> tuple[tuple[int, ...], ...]:
        """Return tiers, best first. What was left unsorted in buckets is in none.

        Label Studio keeps no order of buckets: on PostgreSQL the shortest name comes first.
        """
        if isinstance(ranker, list):
            return tuple((place,) for place in self._ranked(ranker))
        if not isinstance(ranker, dict) or not ranker:
            raise BadLine('"ranker" has to be a list of ids, or lists of ids by name.')
        if len(ranker) == 1 and UNSORTED not in ranker and not _is_tier(next(iter(ranker))):
            return tuple((place,) for place in self._ranked(next(iter(ranker.values()))))
        tiers = {name: tuple(self._ranked(ids)) for name, ids in ranker.items() if name != UNSORTED}
        buckets = sorted((name for name, tier in tiers.items() if tier), key=_place_of_bucket)
        for better, worse in pairwise(buckets):
            if _place_of_bucket(better) == _place_of_bucket(worse):
                raise BadLine(
                    f"Whether {quoted(better)} or {quoted(worse)} is the better bucket is not "
                    "said. Call the buckets tier_1, tier_2 and so on in the file, the best first."
                )
        return tuple(tiers[name] for name in buckets)

    def _ranked(self, ids: Any) -> list[int]:
        if not isinstance(ids, list):
            raise BadLine('"ranker" has to hold lists of ids.')
        if unknown := [one for one in ids if str(one) not in self.places]:
            raise BadLine(f"The ranking names {quoted(unknown[0])}, which is no completion here.")
        return [self.places[str(one)] for one in ids]


def _plain(name: str, result: Mapping[str, Any]) -> str:
    """Return the question that a control asks about one of several texts."""
    return name.removesuffix(f"-{result.get('to_name')}")


def _place_of_bucket(name: str) -> tuple[bool, int]:
    """Return where a bucket stands, as far as its name says so: the bad ones come last."""
    tier = _TIER.fullmatch(name)
    return any(word in name.lower() for word in BAD_BUCKETS), int(tier[1]) if tier else 0


def _is_tier(name: str) -> bool:
    return _TIER.fullmatch(name) is not None


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadLine("A text or a choice has to be a list of texts.")
    return texts


def _author(value: Any) -> str:
    if isinstance(value, dict):
        return name_of(value, "email", "username", "id")
    return name_of({"completed_by": value}, "completed_by")


def _milliseconds(seconds: Any) -> int | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        return None
    return min(round(seconds * 1000), MAX_MS)
