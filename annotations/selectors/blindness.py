"""What somebody may not know yet who wrote it, because they have still to judge it."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from annotations.models import Assignment, Battle, Item, User


def is_to_be_judged_by(user: User, completion: str = "pk") -> Q:
    """Return the condition that a person has still to judge a completion.

    It is in a battle on which they have not voted, or in an item to which they owe an answer. Until
    then they are not to know who wrote it, wherever they find it.
    """
    sides = Q(left=OuterRef(completion)) | Q(right=OuterRef(completion))
    battles = Battle.objects.filter(sides, voter=user, assignment=None)
    owed = Item.completions.through.objects.filter(
        completion=OuterRef(completion),
        item__assignments__annotator=user,
        item__assignments__state__in=Assignment.UNANSWERED,
    )
    return Exists(battles) | Exists(owed)
