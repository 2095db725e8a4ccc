"""Answers to the questions of a scheme about each completion that was shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.utils.translation import gettext as _

from annotations.algorithms.text import letter_of
from annotations.models import Annotation, Question, Rating, RatingAnswer, RatingScheme
from annotations.services.rating_schemes import FLAG
from annotations.services.rules import ServiceError

Answers = Mapping[int, Mapping[str, int]]
"""Completion id → name of the question → point of its scale, or 1 and 0 for a flag."""


def write_rating(annotation: Annotation, scheme: RatingScheme, answers: Answers) -> Rating:
    """Keep what an annotation says about each completion, if it answers what the scheme asks."""
    checked = check_answers(scheme.questions, annotation.shown_order, answers)
    rating = Rating.objects.create(annotation=annotation, scheme=scheme)
    RatingAnswer.objects.bulk_create(
        RatingAnswer(rating=rating, completion_id=completion, question=name, value=value)
        for completion, of_completion in checked.items()
        for name, value in of_completion.items()
    )
    return rating


def check_answers(
    questions: Sequence[Question], shown_order: Sequence[int], answers: Answers
) -> dict[int, dict[str, int]]:
    """Return the answers in the order of completions and questions, or say what is wrong.

    A flag that was not raised is a no; a question that is not required may stay unanswered.
    """
    if strange := set(answers) - set(shown_order):
        raise ServiceError(
            _(
                "There are answers about %(count)s texts that this page did not show. Open "
                "the item again."
            )
            % {"count": len(strange)}
        )
    return {
        completion: _check_one(questions, letter_of(position), answers.get(completion, {}))
        for position, completion in enumerate(shown_order, start=1)
    }


def _check_one(
    questions: Sequence[Question], letter: str, answers: Mapping[str, int]
) -> dict[str, int]:
    _refuse_unknown(answers, {question["name"] for question in questions}, letter)
    checked: dict[str, int] = {}
    for question in questions:
        name = question["name"]
        if question["form"] == FLAG:
            checked[name] = _check_value(question, letter, answers.get(name, 0), range(2))
        elif name in answers:
            points = range(1, question["points"] + 1)
            checked[name] = _check_value(question, letter, answers[name], points)
        elif question["required"]:
            raise ServiceError(
                _("%(letter)s has no answer to “%(question)s”. Choose one.")
                % {"letter": letter, "question": question["text"]}
            )
    return checked


def _refuse_unknown(names: Collection[str], known: set[str], letter: str) -> None:
    if unknown := sorted(set(names) - known):
        raise ServiceError(
            _(
                "Nobody asked “%(question)s” about %(letter)s. The questions have changed; "
                "open the item again."
            )
            % {"question": unknown[0], "letter": letter}
        )


def _check_value(question: Question, letter: str, value: int, allowed: range) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise ServiceError(
            _(
                "%(value)s is no answer to “%(question)s” about %(letter)s. Choose from "
                "%(least)s to %(most)s."
            )
            % {
                "value": value,
                "question": question["text"],
                "letter": letter,
                "least": allowed[0],
                "most": allowed[-1],
            }
        )
    return value
