"""Answers as programs send them, and the forms and services that they go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from annotations import services
from annotations.algorithms.text import (
    MAX_COMPLETION_CHARS,
    MAX_REASON_CHARS,
    letter_of,
)
from annotations.api.operations import Body
from annotations.api.problems import Problem
from annotations.forms import (
    AssemblyForm,
    ComparisonForm,
    DemonstrationForm,
    RankingForm,
    RatingForm,
    ReviewForm,
    RewriteForm,
)
from annotations.forms.work_forms import WorkForm
from annotations.models import Annotation, Assignment

TURN_BY_TURN = (
    "A conversation is had turn by turn: get it at this assignment's `conversation`, say and pick "
    "there, and end it."
)
Letter = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_COMPLETION_CHARS)]
Reason = Annotated[str, StringConstraints(max_length=MAX_REASON_CHARS)]
Answers = Annotated[
    dict[Letter, dict[str, int]], Field(json_schema_extra={"additionalProperties": False})
]
Choice = Literal[
    "left-significantly",
    "left-better",
    "left-slightly",
    "left-negligibly",
    "tie",
    "right-negligibly",
    "right-slightly",
    "right-better",
    "right-significantly",
    "both_bad",
]


class DemonstrationIn(Body):
    """An answer to the prompt."""

    kind: Literal["demonstration"]
    text: Text


class ComparisonIn(Body):
    """Which is better: left is A, right is B."""

    kind: Literal["comparison"]
    choice: Choice
    reason: Reason = ""


class RankingIn(Body):
    """Letters in tiers, best first; those in one tier are tied."""

    kind: Literal["ranking"]
    tiers: list[list[Letter]] = Field(min_length=1, max_length=26)
    answers: Answers = Field({}, description="By letter and question, where questions are asked.")
    reason: Reason = ""


class RatingIn(Body):
    """Answers to the questions: by letter and question, a point of the scale, or 0 or 1."""

    kind: Literal["rating"]
    answers: Answers
    reason: Reason = ""


class RewriteIn(Body):
    """A better version of A."""

    kind: Literal["rewrite"]
    text: Text
    reason: Reason = ""


class PartIn(Body):
    """A part of a completion: the paragraphs or lines of each are counted from 1."""

    letter: Letter
    part: Annotated[int, Field(ge=1, le=10_000)]


class AssemblyIn(Body):
    """Parts of the completions in their order, and the text that they became."""

    kind: Literal["assembly"]
    parts: list[PartIn] = Field(min_length=1, max_length=1000)
    text: Text
    reason: Reason = ""


class ReviewIn(Body):
    """What is to be said of A; a fix has the text as it should be."""

    kind: Literal["review"]
    decision: Literal["accept", "fix", "reject"]
    text: Annotated[str, StringConstraints(max_length=MAX_COMPLETION_CHARS)] | None = None
    reason: Reason = ""


Answered = Annotated[
    DemonstrationIn | ComparisonIn | RankingIn | RatingIn | RewriteIn | AssemblyIn | ReviewIn,
    Field(discriminator="kind"),
]


def fields_of_answer(shown: int, answer: Answered) -> dict[str, str]:
    """Return an answer about so many completions as the fields of the form that checks it."""
    letters = [letter_of(n) for n in range(1, shown + 1)]
    match answer:
        case DemonstrationIn():
            return {"text": answer.text}
        case ComparisonIn():
            return {"choice": answer.choice, "reason": answer.reason}
        case RankingIn():
            fields = _tiers(answer.tiers, letters) | _ratings(answer.answers, letters)
        case RatingIn():
            fields = _ratings(answer.answers, letters)
        case RewriteIn():
            fields = {"text": answer.text}
        case AssemblyIn():
            fields = _parts(answer.parts, letters) | {"text": answer.text}
        case ReviewIn():
            fields = {"decision": answer.decision, "text": answer.text or ""}
    return fields | {"reason": answer.reason}


def hand_in(assignment: Assignment, form: WorkForm, correcting: int | None) -> Annotation:
    """Keep what a form says that was found to be right."""
    said = form.cleaned_data
    match form:
        case DemonstrationForm():
            return services.submit_demonstration(assignment, said["text"], correcting=correcting)
        case ComparisonForm():
            more = {"reason": said["reason"], "correcting": correcting}
            return services.submit_comparison(assignment, *form.judgement(), **more)
        case RankingForm():
            return services.submit_ranking(
                assignment,
                form.tiers(),
                ratings=form.answers(),
                reason=said["reason"],
                correcting=correcting,
            )
        case RatingForm():
            return services.submit_rating(
                assignment, form.answers(), reason=said["reason"], correcting=correcting
            )
        case RewriteForm():
            return services.submit_rewrite(
                assignment, said["text"], reason=said["reason"], correcting=correcting
            )
        case AssemblyForm():
            return services.submit_assembly(
                assignment,
                form.spans(),
                said["text"],
                reason=said["reason"],
                correcting=correcting,
            )
        case ReviewForm():
            return services.submit_review(
                assignment,
                said["decision"],
                said["text"],
                reason=said["reason"],
                correcting=correcting,
            )
    raise services.ServiceError(TURN_BY_TURN)


def _position(letter: str, letters: Sequence[str]) -> int:
    if letter not in letters:
        shown = ", ".join(letters)
        message = f"There is no completion {letter}. This item shows {shown}."
        raise Problem("wrong-body", message, errors=[("answer", message)])
    return letters.index(letter) + 1


def _tiers(tiers: Sequence[Sequence[str]], letters: Sequence[str]) -> dict[str, str]:
    named = [letter for tier in tiers for letter in tier]
    if twice := sorted({letter for letter in named if named.count(letter) > 1}):
        message = f"{', '.join(twice)} stands in two places. Give each completion one."
        raise Problem("wrong-body", message, errors=[("answer.tiers", message)])
    # Empty tiers say nothing: the places of the others are counted without them.
    places = enumerate((tier for tier in tiers if tier), start=1)
    return {
        f"tier-{_position(letter, letters)}": str(place)
        for place, tier in places
        for letter in tier
    }


def _ratings(answers: Answers, letters: Sequence[str]) -> dict[str, str]:
    return {
        f"rating-{_position(letter, letters)}-{question}": str(value)
        for letter, values in answers.items()
        for question, value in values.items()
    }


def _parts(parts: Sequence[PartIn], letters: Sequence[str]) -> dict[str, str]:
    fields = {
        f"part-{_position(one.letter, letters)}-{one.part}": str(order)
        for order, one in enumerate(parts, start=1)
    }
    if len(fields) < len(parts):
        message = "A part is there twice. Take each once."
        raise Problem("wrong-body", message, errors=[("answer.parts", message)])
    return fields
