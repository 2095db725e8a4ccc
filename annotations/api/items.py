"""The units of labelling work."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from pydantic import Field

from annotations import access
from annotations.api.operations import Answer, Call, Flag, IdInAddress, Operations, Search
from annotations.api.pages import Page, Paged, page_of
from annotations.models import Item, Kind

operations = Operations("Items")


class ItemOut(Answer):
    """One unit of work: a question about a prompt and, of most kinds, about completions."""

    id: int
    kind: Kind
    purpose: Item.Purpose
    prompt: int
    completions: list[int]
    overlap: int = Field(description="How many people it is meant to get.")
    open_slots: int = Field(description="How many may still be handed it.")
    priority: int
    skips: int
    batch: str
    created_at: datetime


class ItemFilters(Paged):
    kind: Kind | None = None
    purpose: Item.Purpose | None = None
    prompt: IdInAddress | None = None
    batch: Search | None = None
    open: Flag | None = Field(None, description="Whether somebody may still be handed it.")


@operations.get("projects/<int:project_id>/items")
def list_items(call: Call, project_id: int, query: ItemFilters) -> Page[ItemOut]:
    """List the items of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id, *access.READING)
    return page_of(_wanted(project.items.all(), query), query, _item)


@operations.get("items/<int:item_id>")
def get_item(call: Call, item_id: int) -> ItemOut:
    """Show an item. Owners and engineers of its project can."""
    return _item(access.get_item_for(call.user, item_id, *access.READING))


def _wanted(found: QuerySet[Item], query: ItemFilters) -> QuerySet[Item]:
    same = query.model_dump(include={"kind", "purpose", "prompt", "batch"}, exclude_none=True)
    found = found.filter(**same).prefetch_related("completions")
    if query.open is None:
        return found
    return found.filter(open_slots__gt=0) if query.open else found.filter(open_slots=0)


def _item(item: Item) -> ItemOut:
    return ItemOut(
        id=item.pk,
        kind=Kind(item.kind),
        purpose=Item.Purpose(item.purpose),
        prompt=item.prompt_id,
        completions=sorted(one.pk for one in item.completions.all()),
        overlap=item.overlap,
        open_slots=item.open_slots,
        priority=item.priority,
        skips=item.skips,
        batch=item.batch,
        created_at=item.created_at,
    )
