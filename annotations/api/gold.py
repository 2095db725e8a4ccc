"""Gold items, whose answers are known, and practising with them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.api.operations import Answer, Body, Call, Flag, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import ReasonText
from annotations.models import Item, Kind, Role, Scope
from annotations.services.qualification import MAX_WHY_CHARS

operations = Operations("Gold items")


class GoldOut(Answer):
    """A gold item: one whose answer is known, by which work is checked."""

    item: int
    kind: Kind
    prompt: int
    completions: list[int]
    known: dict[str, Any] = Field(
        description="By kind: `left`, `right` and `outcome`; `tiers`; `answers` by completion and "
        "question; `decision`; or an example of a `text`."
    )
    practice: str | None = Field(
        description="Why the known answer is right, if people practise with it."
    )


class GoldFilters(Paged):
    kind: Kind
    practice: Flag | None = Field(None, description="Those of the practice instead.")


class Why(Body):
    """Why the known answer is right: people read it after theirs."""

    why: Annotated[ReasonText, StringConstraints(max_length=MAX_WHY_CHARS)]


@operations.get("projects/<int:project_id>/gold")
def list_gold(call: Call, project_id: int, query: GoldFilters) -> Page[GoldOut]:
    """List the gold items of a kind that tests and the queue ask, or those of its practice.

    Owners of the project can.
    """
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    read = selectors.practice_items if query.practice else selectors.gold_items
    found = read(project, query.kind).select_related("practice").prefetch_related("completions")
    return page_of(found, query, _gold)


@operations.post("annotations/<int:annotation_id>/gold", Scope.WRITE, status=201)
def make_gold(call: Call, annotation_id: int) -> GoldOut:
    """Make a gold item that asks the same and knows this answer. Owners of the project can.

    A question has one gold item: another answer takes the place of what was known.
    """
    annotation = access.get_annotation_for(call.user, annotation_id)
    access.get_item_for(call.user, annotation.item_id, Role.OWNER)
    return _gold(services.make_gold(annotation))


@operations.post("items/<int:item_id>/gold/retire", Scope.WRITE)
def retire_gold(call: Call, item_id: int) -> GoldOut:
    """Ask nobody a gold item any more. What was said stays. Owners of the project can."""
    return _gold(services.retire_gold(access.get_item_for(call.user, item_id, Role.OWNER)))


@operations.put("items/<int:item_id>/practice", Scope.WRITE)
def practise_with(call: Call, item_id: int, body: Why) -> GoldOut:
    """Let people practise with a gold item, which is asked unseen no more. Owners can."""
    item = access.get_item_for(call.user, item_id, Role.OWNER)
    services.practise_with(item, body.why)
    return _gold(access.get_item_for(call.user, item_id, Role.OWNER))


@operations.delete("items/<int:item_id>/practice", Scope.WRITE)
def stop_practising_with(call: Call, item_id: int) -> None:
    """Use an item for practice no more. Owners of the project can."""
    services.stop_practising_with(access.get_item_for(call.user, item_id, Role.OWNER))


def _gold(item: Item) -> GoldOut:
    practice = getattr(item, "practice", None)
    return GoldOut(
        item=item.pk,
        kind=Kind(item.kind),
        prompt=item.prompt_id,
        completions=sorted(one.pk for one in item.completions.all()),
        known=item.gold or {},
        practice=practice.why if practice else None,
    )
