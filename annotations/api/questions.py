"""The questions that people answer about each completion, in versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from annotations import access, services
from annotations.api.labelling import QuestionOut
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.people import ReasonText
from annotations.models import RatingScheme, Role, Scope
from annotations.services.rating_schemes import (
    MAX_LABEL_CHARS,
    MAX_QUESTION_CHARS,
    MOST_POINTS,
    MOST_QUESTIONS,
)

operations = Operations("Questions")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Words = Annotated[ReasonText, StringConstraints(max_length=MAX_QUESTION_CHARS)]
Label = Annotated[str, StringConstraints(max_length=MAX_LABEL_CHARS)]


class ScaleIn(Body):
    """A question that wants a point of a scale, from 1."""

    form: Literal["scale"]
    name: Name = Field(description="What it is called in the data.")
    text: Words
    points: Annotated[int, Field(ge=2, le=MOST_POINTS)] = 7
    low: Label = ""
    high: Label = ""
    required: bool = True


class FlagIn(Body):
    """A question with the answers yes and no."""

    form: Literal["flag"]
    name: Name = Field(description="What it is called in the data.")
    text: Words


class NewQuestions(Body):
    """The questions as they are to be, all of them."""

    questions: list[Annotated[ScaleIn | FlagIn, Field(discriminator="form")]] = Field(
        min_length=1, max_length=MOST_QUESTIONS
    )
    before_ranking: bool = Field(False, description="Whether rankings ask them first, too.")


class QuestionsOut(Answer):
    """A version of the questions."""

    version: int
    questions: list[QuestionOut]
    before_ranking: bool
    published_at: datetime | None = Field(description="Null: a draft.")


class QuestionsNow(Answer):
    """The questions in force, and a draft of the next ones."""

    in_force: QuestionsOut | None
    draft: QuestionsOut | None


@operations.get("projects/<int:project_id>/questions")
def get_questions(call: Call, project_id: int) -> QuestionsNow:
    """Show the questions that are asked about each completion, and their draft. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    in_force, draft = services.scheme_in_force(project), services.scheme_draft(project)
    return QuestionsNow(
        in_force=_scheme(in_force) if in_force else None, draft=_scheme(draft) if draft else None
    )


@operations.put("projects/<int:project_id>/questions/draft", Scope.WRITE)
def save_questions(call: Call, project_id: int, body: NewQuestions) -> QuestionsOut:
    """Keep questions as the draft. People still answer those in force. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    sent = [one.model_dump() for one in body.questions]
    return _scheme(
        services.save_scheme_draft(project, sent, call.user, before_ranking=body.before_ranking)
    )


@operations.post("projects/<int:project_id>/questions", Scope.WRITE, status=201)
def publish_questions(call: Call, project_id: int, body: NewQuestions) -> QuestionsOut:
    """Put questions in force, as a version that never changes. Owners can.

    Items that are made from now on ask them; everybody is asked the same about one item.
    """
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    sent = [one.model_dump() for one in body.questions]
    return _scheme(
        services.publish_scheme(project, sent, call.user, before_ranking=body.before_ranking)
    )


def _scheme(scheme: RatingScheme) -> QuestionsOut:
    return QuestionsOut(
        version=scheme.version,
        questions=[QuestionOut(**question) for question in scheme.questions],
        before_ranking=scheme.before_ranking,
        published_at=scheme.published_at,
    )
