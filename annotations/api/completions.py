"""Completions, and asking people about new ones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import uuid4

from django.http import Http404
from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.api.operations import (
    LARGEST_ID,
    Answer,
    Body,
    Call,
    IdInAddress,
    Operations,
)
from annotations.api.pages import Page, Paged, page_of
from annotations.models import Completion, Scope

operations = Operations("Completions")

MOST_AT_ONCE = 1000

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class CompletionOut(Answer):
    """An answer to a prompt, and where it came from."""

    id: int
    prompt: int
    text: str
    origin: Completion.Origin
    checkpoint: int | None
    source_name: str = Field(description="The model's name, as an import gave it.")
    created_at: datetime


class CompletionFilters(Paged):
    prompt: IdInAddress | None = None
    origin: Completion.Origin | None = None
    checkpoint: IdInAddress | None = None


class NewCompletion(Body):
    """An answer that was written elsewhere."""

    prompt: Id = Field(description="The id of a prompt of this project.")
    text: Annotated[str, StringConstraints(min_length=1)]
    source_name: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="What wrote it. No labeller is ever shown this."
    )


class NewCompletions(Body):
    """Completions, and what people are to do with those of one prompt."""

    completions: list[NewCompletion] = Field(min_length=1, max_length=MOST_AT_ONCE)
    kind: Literal["comparison", "ranking", "rating", "rewrite", "assembly"]
    overlap: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="How many people are asked; by default as the project says."
    )
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(
        0, description="Higher goes first; of equal ones, what was added first."
    )


class AddedCompletions(Answer):
    """What became of the completions."""

    completions: int
    items: int
    dropped: int = Field(
        description="In no item: the same words as another, or one too few to make a group."
    )
    batch: str = Field(description="By which its items are found.")


@operations.get("projects/<int:project_id>/completions")
def list_completions(call: Call, project_id: int, query: CompletionFilters) -> Page[CompletionOut]:
    """List the completions of a project. Its owners and engineers can.

    What the owner of the token has still to judge, in an item that they hold or in a battle of
    theirs, is among them afterwards.
    """
    project = access.get_project_for(call.user, project_id, *access.READING)
    found = Completion.objects.filter(
        ~selectors.is_to_be_judged_by(call.user), prompt__project=project
    )
    if query.prompt is not None:
        found = found.filter(prompt_id=query.prompt)
    if query.origin is not None:
        found = found.filter(origin=query.origin)
    if query.checkpoint is not None:
        found = found.filter(checkpoint_id=query.checkpoint)
    return page_of(found, query, _completion)


@operations.post("projects/<int:project_id>/completions", Scope.WRITE, status=201)
def add_completions(call: Call, project_id: int, body: NewCompletions) -> AddedCompletions:
    """Add completions that were written elsewhere, and ask people about them.

    Those of one prompt are compared in pairs, or ranked, rated or assembled together. Owners and
    engineers of the project can.
    """
    project = access.get_project_for(call.user, project_id, *access.READING)
    batch = f"api-{uuid4().hex[:16]}"
    answers = [
        services.Answer(one.prompt, one.text, source_name=one.source_name)
        for one in body.completions
    ]
    added = services.add_completions(
        project,
        answers,
        kind=body.kind,
        batch=batch,
        overlap=body.overlap,
        priority=body.priority,
    )
    return AddedCompletions(
        completions=added.completions, items=added.items, dropped=added.dropped, batch=batch
    )


@operations.get("completions/<int:completion_id>")
def get_completion(call: Call, completion_id: int) -> CompletionOut:
    """Show a completion. Owners and engineers of its project can."""
    found = access.get_completion_for(call.user, completion_id, *access.READING)
    if Completion.objects.filter(selectors.is_to_be_judged_by(call.user), id=found.pk).exists():
        raise Http404("Who wrote it is told once you have judged it.")
    return _completion(found)


def _completion(completion: Completion) -> CompletionOut:
    return CompletionOut(
        id=completion.pk,
        prompt=completion.prompt_id,
        text=completion.text,
        origin=Completion.Origin(completion.origin),
        checkpoint=completion.checkpoint_id,
        source_name=completion.source_name,
        created_at=completion.created_at,
    )
