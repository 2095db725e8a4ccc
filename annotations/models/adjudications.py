"""Decisions about items on which people disagree."""

from __future__ import annotations

from django.db import models

from annotations.models.annotations import Annotation
from annotations.models.items import Item


class Adjudication(models.Model):
    """A reference annotation, by somebody who saw what others said and had not said anything.

    It is in force as long as its annotation is. A later decision by the same person supersedes it.
    """

    reference = models.OneToOneField(
        Annotation, on_delete=models.PROTECT, primary_key=True, related_name="adjudication"
    )
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="adjudications")
    open_bits = models.FloatField()
    """What the votes left open when it was decided: `disagreement.open_bits` over the item."""

    def __str__(self) -> str:
        return f"Adjudication of {self.item_id}"
