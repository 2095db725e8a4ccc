"""Prompts, and adding many of them at once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from annotations import access, importers, selectors, services
from annotations.algorithms.text import MAX_PROMPT_CHARS
from annotations.api.operations import DIGITS, Answer, Body, Call, Operations, Query, Search
from annotations.api.pages import Page, Paged, page_of
from annotations.api.problems import Problem
from annotations.importers.parsing import MAX_NAME_CHARS, MAX_TAGS, MAX_TURNS
from annotations.models import Prompt, Scope, Split

operations = Operations("Prompts")

MOST_AT_ONCE = 1000
MOST_SIMILAR = 100
MOST_TYPED = 400
"""Characters: a longer text finds no room in an address."""

Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_PROMPT_CHARS),
    # Documented alone: what reads it has better words for a blank text.
    Field(json_schema_extra={"pattern": r"[^\s\x1c-\x1f\x85]"}),
]
Tag = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)]


class MessageIn(Body):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


class MessageOut(Answer):
    """One turn of a conversation."""

    role: str
    content: str


class PromptOut(Answer):
    """A prompt: the messages that a completion answers."""

    id: int
    messages: list[MessageOut]
    origin: Prompt.Origin
    tags: list[str]
    external_id: str
    split: Split = Field(description="Decided by the messages alone; it never changes.")
    created_at: datetime


class PromptFilters(Paged):
    split: Split | None = None
    origin: Prompt.Origin | None = None
    external_id: Search | None = None
    search: Search | None = Field(None, description="A part of the last message.")


class SimilarTo(Query):
    limit: Annotated[int, Field(ge=1, le=MOST_SIMILAR), DIGITS] = Field(
        10, description="How many prompts at most."
    )


class SimilarToText(SimilarTo):
    text: Annotated[
        str, StringConstraints(min_length=1, max_length=MOST_TYPED, pattern=r"^[^\x00]+$")
    ] = Field(description="What the prompts are to be like.")


class SimilarPromptOut(Answer):
    """A prompt, and how much it is like what was asked about."""

    prompt: PromptOut
    similarity: float = Field(
        description="Of the words, between 0 and 1: 1 for the same ones in any order."
    )
    is_nearly_the_same: bool
    is_leak: bool = Field(
        description="Nearly the same, and of the two one is in the split train, one is not. Never "
        "true beside a text."
    )


class SimilarPromptsOut(Answer):
    """The prompts that are worded most like a text, the most so first."""

    compared: int = Field(description="How many prompts were looked at.")
    is_cut: bool = Field(description="The project has older ones, which were not looked at.")
    items: list[SimilarPromptOut]


class NewPrompt(Body):
    """A prompt: one text by the user, or the messages of a conversation, the last by the user."""

    prompt: Text | Annotated[list[MessageIn], Field(min_length=1, max_length=MAX_TURNS)]
    id: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] | None = Field(
        None, description="What you call it: `external_id`."
    )
    tags: list[Tag] | None = Field(None, max_length=MAX_TAGS)


class NewPrompts(Body):
    """Prompts to add: all of them, or none if one can't be."""

    prompts: list[NewPrompt] = Field(min_length=1, max_length=MOST_AT_ONCE)
    as_demonstrations: bool = Field(True, description="Ask people to write an answer to each.")


class AddedPrompts(Answer):
    """What became of the prompts."""

    created: int
    duplicates: int = Field(description="The project has those messages already.")
    items: int = Field(description="That wait to be answered.")
    ids: list[int] = Field(
        description="The prompt of each one that was sent, in order: the new one, or the one that "
        "the project had."
    )


class NewConversations(Body):
    """How many prompts are to be conversed about, and by how many people each."""

    number: Annotated[int, Field(ge=1, le=10_000)]
    overlap: Annotated[int, Field(ge=1, le=50)] = 1
    split: Split | None = None
    search: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="A part of the last message."
    )


class AddedConversations(Answer):
    """How many conversations wait to be had."""

    items: int


@operations.get("projects/<int:project_id>/prompts")
def list_prompts(call: Call, project_id: int, query: PromptFilters) -> Page[PromptOut]:
    """List the prompts of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id, *access.READING)
    found = project.prompts.all()
    same = query.model_dump(include={"split", "origin", "external_id"}, exclude_none=True)
    found = found.filter(**same)
    if query.search:
        found = found.filter(selectors.contains(query.search))
    return page_of(found, query, prompt_out)


@operations.post("projects/<int:project_id>/prompts", Scope.WRITE, status=201)
def add_prompts(call: Call, project_id: int, body: NewPrompts) -> AddedPrompts:
    """Add up to 1,000 prompts, all or none. Owners and engineers of the project can.

    What the project has already is left alone, so that the same request twice adds nothing.
    """
    project = access.get_project_for(call.user, project_id, *access.READING)
    lines = [json.dumps(one.model_dump(exclude_none=True)) for one in body.prompts]
    rows, errors = importers.read_prompts("\n".join(lines), "jsonl")
    if errors:
        found = [(f"prompts.{error.line - 1}", error.message) for error in errors]
        detail = " ".join(message for _, message in found[:5])
        raise Problem("wrong-body", f"No prompt was added. {detail}", errors=found[:100])
    added = services.import_prompts(
        project, rows, call.user, as_demonstrations=body.as_demonstrations
    )
    return AddedPrompts(
        created=added.created,
        duplicates=added.duplicates,
        items=added.items,
        ids=list(added.ids),
    )


@operations.post("projects/<int:project_id>/prompts/converse", Scope.WRITE, status=201)
def add_conversations(call: Call, project_id: int, body: NewConversations) -> AddedConversations:
    """Ask people to converse about the newest prompts that no conversation has begun with.

    Owners and engineers of the project can.
    """
    project = access.get_project_for(call.user, project_id, *access.READING)
    found = selectors.prompts_to_converse_about(project, search=body.search, split=body.split or "")
    prompts = list(found[: body.number])
    added = services.add_conversations(project, prompts, overlap=body.overlap)
    return AddedConversations(items=added)


@operations.get("prompts/<int:prompt_id>")
def get_prompt(call: Call, prompt_id: int) -> PromptOut:
    """Show a prompt. Owners and engineers of its project can."""
    return prompt_out(access.get_prompt_for(call.user, prompt_id, *access.READING))


@operations.get("prompts/<int:prompt_id>/similar")
def list_similar_prompts(call: Call, prompt_id: int, query: SimilarTo) -> SimilarPromptsOut:
    """List the prompts worded most like a prompt. Owners and engineers of its project can.

    By wording alone: what says the same in other words is not found.
    """
    prompt = access.get_prompt_for(call.user, prompt_id, *access.READING)
    return similar_out(selectors.prompts_like(prompt, query.limit))


@operations.get("projects/<int:project_id>/prompts/similar")
def find_similar_prompts(call: Call, project_id: int, query: SimilarToText) -> SimilarPromptsOut:
    """List the prompts worded most like a text. Owners and engineers of the project can.

    By wording alone: what says the same in other words is not found.
    """
    project = access.get_project_for(call.user, project_id, *access.READING)
    return similar_out(selectors.prompts_like_text(project, query.text, query.limit))


def similar_out(similar: selectors.SimilarPrompts) -> SimilarPromptsOut:
    """Return similar prompts as they are answered."""
    return SimilarPromptsOut(
        compared=similar.compared,
        is_cut=similar.is_cut,
        items=[
            SimilarPromptOut(
                prompt=prompt_out(one.prompt),
                similarity=round(one.similarity, 4),
                is_nearly_the_same=one.is_nearly_the_same,
                is_leak=one.is_leak,
            )
            for one in similar.found
        ],
    )


def messages_out(messages: object) -> list[MessageOut]:
    """Return stored messages as they are answered."""
    assert isinstance(messages, list)
    return [MessageOut(role=one["role"], content=one["content"]) for one in messages]


def prompt_out(prompt: Prompt) -> PromptOut:
    """Return a prompt as it is answered."""
    return PromptOut(
        id=prompt.pk,
        messages=messages_out(prompt.messages),
        origin=Prompt.Origin(prompt.origin),
        tags=prompt.tags,
        external_id=prompt.external_id,
        split=Split(prompt.split),
        created_at=prompt.created_at,
    )
