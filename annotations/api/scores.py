"""Scores of completions from elsewhere, and how far they agree with people."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.api.operations import (
    Answer,
    Body,
    Call,
    IdInAddress,
    Operations,
    Search,
)
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import ShareOut, share_out
from annotations.api.problems import Problem
from annotations.models import CompletionScore, Scope
from annotations.score_files import LONGEST_NAME, LONGEST_SCORER, read_scores

operations = Operations("Scores")

MOST_AT_ONCE = 1000
MOST_ERRORS = 100

# Documented alone: what reads it has better words for blank texts and for those on two lines.
PRINTABLE = Field(json_schema_extra={"pattern": r"^[!-~]([ -~]*[!-~])?$"})
Scorer = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SCORER), PRINTABLE]
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME), PRINTABLE]
Score = Annotated[float, Field(ge=-1e15, le=1e15)]


class ScoreOut(Answer):
    """What a scorer gave a completion; more is better."""

    id: int
    completion: int
    scorer: str
    score: float
    updated_at: datetime


class ScoreFilters(Paged):
    scorer: Search | None = None
    completion: IdInAddress | None = None


class ScoredModelOut(Answer):
    """What a scorer gave the completions of one model."""

    checkpoint: int | None
    model: str
    mean: float
    scores: int


class ScorerOut(Answer):
    """A scorer, what it gave, and how often it prefers what people prefer."""

    name: str
    scores: int
    models: list[ScoredModelOut] = Field(description="The highest mean first.")
    agreement: ShareOut = Field(
        description="Of comparisons with a better side in which it scored the two differently."
    )


class Scorers(Answer):
    """The scorers of a project, by name."""

    scorers: list[ScorerOut]


class ScoreOfCompletion(Body):
    """A score of a completion that is named by its id."""

    completion: Annotated[int, Field(ge=1, le=10**18 - 1)]
    scorer: Scorer
    score: Score


class ScoreOfModel(Body):
    """A score of what a model answered to a prompt, by the names that an import gave them."""

    prompt: Name = Field(description="The `external_id` of the prompt.")
    model: Name
    scorer: Scorer
    score: Score


class NewScores(Body):
    """Scores to keep: all of them, or none if one can't be."""

    scores: list[ScoreOfCompletion | ScoreOfModel] = Field(min_length=1, max_length=MOST_AT_ONCE)


class KeptScores(Answer):
    """What became of the scores."""

    created: int
    changed: int = Field(description="Of a scorer that had given another one before.")
    same: int = Field(description="That were there already.")


@operations.get("projects/<int:project_id>/scorers")
def list_scorers(call: Call, project_id: int) -> Scorers:
    """List who scored the completions of a project, with what they gave. Owners, engineers can."""
    project = access.get_project_for(call.user, project_id, *access.READING)
    return Scorers(
        scorers=[
            ScorerOut(
                name=one.name,
                scores=one.n,
                models=[
                    ScoredModelOut(
                        checkpoint=model.checkpoint_id,
                        model=model.model,
                        mean=model.mean,
                        scores=model.n,
                    )
                    for model in one.models
                ],
                agreement=share_out(one.agreement),
            )
            for one in selectors.scorers(project)
        ]
    )


@operations.get("projects/<int:project_id>/scores")
def list_scores(call: Call, project_id: int, query: ScoreFilters) -> Page[ScoreOut]:
    """List the scores of a project. Its owners and engineers can; no labeller sees them."""
    project = access.get_project_for(call.user, project_id, *access.READING)
    same = query.model_dump(include={"scorer", "completion"}, exclude_none=True)
    return page_of(project.scores.filter(**same), query, _score)


@operations.post("projects/<int:project_id>/scores", Scope.WRITE)
def add_scores(call: Call, project_id: int, body: NewScores) -> KeptScores:
    """Keep up to 1,000 scores beside their completions, all or none.

    A newer score of a scorer takes the place of its older one. Owners and engineers can.
    """
    project = access.get_project_for(call.user, project_id, *access.READING)
    lines = "\n".join(json.dumps(_line(one)) for one in body.scores)
    rows, errors = read_scores(io.BytesIO(lines.encode()), "scores.jsonl")
    _expect_none("wrong-body", [(one.line, one.message) for one in errors])
    done = services.import_scores(project, rows, call.user)
    _expect_none("not-possible", done.bad)
    return KeptScores(created=done.created, changed=done.changed, same=done.same)


def _line(score: ScoreOfCompletion | ScoreOfModel) -> dict[str, object]:
    """Return a score as a line of a file has it."""
    given = {"scorer": score.scorer, "score": score.score}
    if isinstance(score, ScoreOfCompletion):
        return {"completion_id": score.completion, **given}
    return {"prompt_id": score.prompt, "model": score.model, **given}


def _expect_none(kind: str, bad: list[tuple[int, str]] | tuple[tuple[int, str], ...]) -> None:
    if bad:
        errors = [(f"scores.{line - 1}", message) for line, message in bad]
        words = " ".join(message for _, message in errors[:5])
        raise Problem(kind, f"No score was kept. {words}", errors=errors[:MOST_ERRORS])


def _score(score: CompletionScore) -> ScoreOut:
    return ScoreOut(
        id=score.pk,
        completion=score.completion_id,
        scorer=score.scorer,
        score=score.score,
        updated_at=score.updated_at,
    )
