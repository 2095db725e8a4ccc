"""Where items stand."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from annotations.models import Assignment, Item


def finished_overlap(item_id: int) -> int | None:
    """Return how many answers an item has by its overlap; None while some are still to come."""
    held = Assignment.objects.filter(item=OuterRef("pk"), state=Assignment.State.LEASED)
    finished = Item.objects.filter(~Exists(held), id=item_id, open_slots=0)
    return finished.values_list("overlap", flat=True).first()
