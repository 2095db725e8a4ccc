"""Asking again what a change of the guidelines may have turned round."""

from __future__ import annotations

import random

from django.db import transaction

from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.reask import choose
from annotations.models import (
    GuidelineVersion,
    Item,
    Kind,
    Project,
    Reask,
    ReaskedItem,
    User,
)
from annotations.selectors.guidelines import guideline_in_force
from annotations.selectors.reask import prospect
from annotations.services.rules import ServiceError, lock

MOST_ASKED = 1_000
REASK_PRIORITY = 5
"""Ahead of the ordinary work: the answers say whether more has to be asked."""

_SYSTEM_RANDOM = random.SystemRandom()


@transaction.atomic
def ask_comparisons_again(
    project: Project,
    since: GuidelineVersion,
    count: int,
    user: User,
    *,
    seed: int | None = None,
) -> Reask:
    """Ask the `count` comparisons again that are likeliest to come out otherwise, and a control.

    The control is drawn at random from the others, a tenth as many. Both go into the queue in one
    order that says nothing, to people who have not judged them.
    """
    if not 1 <= count <= MOST_ASKED:
        raise ServiceError(f"Ask for 1 to {MOST_ASKED:,} comparisons.")
    lock(project)
    now = guideline_in_force(project, Kind.COMPARISON)
    if now is None or since.version >= now.version:
        raise ServiceError("The guidelines have not changed since that version. Choose an older.")
    found = prospect(project, since, now)
    if not found.changed:
        raise ServiceError("No clause is new or changed since that version. Choose an older one.")
    if not found.scored:
        raise ServiceError(
            "There is nothing to ask again: nothing was compared by that version that somebody "
            "else could judge."
        )
    seed = _SYSTEM_RANDOM.randrange(2**31) if seed is None else seed
    rng = random.Random(seed)
    chosen, control = choose(found.scored, count, rng)
    reask = Reask.objects.create(
        project=project,
        version=now,
        since=since,
        clauses=[clause.title for clause in found.changed],
        candidates=len(found.scored),
        seed=seed,
        created_by=user,
    )
    arms = [(one, ReaskedItem.Arm.CHOSEN) for one in chosen]
    arms += [(one, ReaskedItem.Arm.CONTROL) for one in control]
    rng.shuffle(arms)
    sources = Item.objects.select_related("prompt").prefetch_related("completions")
    by_id = sources.in_bulk([one.item for one, _ in arms])
    for one, arm in arms:
        item = _again(by_id[one.item], reask)
        ReaskedItem.objects.create(
            reask=reask, item=item, source_id=found.sources[one.item], arm=arm, score=one.score
        )
    return reask


def _again(source: Item, reask: Reask) -> Item:
    """Return an item that asks the same question; by its fingerprint nobody gets it twice."""
    completions = list(source.completions.all())
    texts = [completion.text for completion in completions]
    item = Item.objects.create(
        project_id=source.project_id,
        kind=Kind.COMPARISON,
        prompt=source.prompt,
        priority=REASK_PRIORITY,
        batch=f"reask-{reask.pk}",
        fingerprint=source.fingerprint
        or fingerprint_of(Kind.COMPARISON, source.prompt.messages, texts),
    )
    item.completions.add(*completions)
    return item
