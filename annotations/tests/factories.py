"""Objects for tests: each function makes one, with defaults for what a test does not care about."""

from __future__ import annotations

import random
from collections.abc import MutableSequence, Sequence
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db.models.functions import Now
from django.utils import timezone

from annotations import queue, services
from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash, split_for
from annotations.models import (
    Annotation,
    Assignment,
    AssignmentEvent,
    Comparison,
    Completion,
    Demonstration,
    Item,
    Kind,
    Project,
    Prompt,
    Question,
    RankedCompletion,
    Ranking,
    RatingScheme,
    Turn,
    User,
)

SHOWN = {
    Kind.DEMONSTRATION: 0,
    Kind.COMPARISON: 2,
    Kind.RANKING: 4,
    Kind.RATING: 2,
    Kind.REWRITE: 1,
    Kind.ASSEMBLY: 4,
    Kind.CONVERSATION: 0,
}
"""How many completions an item of each kind shows."""

OVERALL: Question = {
    "name": "overall",
    "text": "How good is it overall?",
    "form": "scale",
    "points": 7,
    "low": "Very bad",
    "high": "Very good",
    "required": True,
}
HARMFUL: Question = {
    "name": "harmful",
    "text": "Is it harmful?",
    "form": "flag",
    "points": 0,
    "low": "",
    "high": "",
    "required": False,
}


def make_prompt(
    project: Project, text: str = "Write a haiku about a frog.", **changes: Any
) -> Prompt:
    """Return a prompt of one turn by the user."""
    messages = changes.pop("messages", [{"role": "user", "content": text}])
    digest = content_hash(messages)
    values: dict[str, Any] = {"content_hash": digest, "split": split_for(digest), **changes}
    return Prompt.objects.create(project=project, messages=messages, text=text, **values)


def make_prompt_in(project: Project, split: str, **changes: Any) -> Prompt:
    """Return a prompt whose content puts it into a split."""
    number = project.prompts.count()
    while True:
        text = f"Write a haiku about the number {number}."
        if split_for(content_hash([{"role": "user", "content": text}])) == split:
            return make_prompt(project, text, **changes)
        number += 1


def make_completion(
    prompt: Prompt, text: str = "old pond\na frog leaps in\nwater's sound", **changes: Any
) -> Completion:
    """Return a completion; by a person if it has an author, by a checkpoint if it has one."""
    if "origin" not in changes:
        changes["origin"] = Completion.Origin.IMPORTED
        if changes.get("author"):
            changes["origin"] = Completion.Origin.HUMAN
        elif changes.get("checkpoint") or changes.get("checkpoint_id"):
            changes["origin"] = Completion.Origin.CHECKPOINT
    return Completion.objects.create(prompt=prompt, text=text, **changes)


def make_item(
    project: Project,
    kind: str = Kind.COMPARISON,
    *,
    prompt: Prompt | None = None,
    texts: Sequence[str] | None = None,
    completions: Sequence[Completion] | None = None,
    overlap: int = 1,
    **changes: Any,
) -> Item:
    """Return an item with new completions of the texts: as many as its kind shows, by default.

    A review is about a new demonstration by a person outside the cast, if not about another.
    """
    if kind == Kind.REVIEW:
        subject = changes.setdefault("subject", None) or _make_subject(project, prompt)
        changes["subject"], prompt = subject, subject.item.prompt
        completions = [subject.demonstration.completion] if completions is None else completions
    if kind == Kind.RATING:
        changes.setdefault("rating_scheme", None)
        changes["rating_scheme"] = changes["rating_scheme"] or make_rating_scheme(project)
    if prompt is None:
        prompt = make_prompt(project, f"Write a haiku about prompt {project.prompts.count()}.")
    if completions is None:
        if texts is None:
            texts = [f"haiku {number}" for number in range(SHOWN[Kind(kind)])]
        completions = [make_completion(prompt, text) for text in texts]
    fingerprint = fingerprint_of(kind, prompt.messages, [one.text for one in completions])
    values = {"open_slots": overlap, "fingerprint": fingerprint, **changes}
    item = Item.objects.create(project=project, kind=kind, prompt=prompt, overlap=overlap, **values)
    item.completions.add(*completions)
    return item


def _make_subject(project: Project, prompt: Prompt | None) -> Annotation:
    writer, _ = User.objects.get_or_create(username="writer")
    return make_demonstration(project, writer, prompt=prompt).annotation


def make_rating_scheme(project: Project, **changes: Any) -> RatingScheme:
    """Return the published questions of a project: those in force, or new ones with a scale."""
    published = project.rating_schemes.filter(published_at__isnull=False)
    if not changes and (scheme := published.order_by("-version").first()):
        return scheme
    values: dict[str, Any] = {
        "version": project.rating_schemes.count() + 1,
        "questions": [OVERALL, HARMFUL],
        "created_by": project.created_by,
        "published_at": timezone.now(),
        **changes,
    }
    return RatingScheme.objects.create(project=project, **values)


def make_assignment(item: Item, annotator: User, **changes: Any) -> Assignment:
    """Return a live lease, which holds a place of its item; a conversation waits for replies."""
    Item.objects.filter(id=item.pk).update(open_slots=item.open_slots - 1)
    item.refresh_from_db()
    values = {
        "fingerprint": item.fingerprint,
        "shown_order": sorted(item.completions.values_list("id", flat=True)),
        "guideline_version": item.project.guideline_versions.filter(kind=item.kind)
        .order_by("-version")
        .first(),
        "leased_at": Now(),
        "lease_until": Now() + timedelta(minutes=30),
        **changes,
    }
    assignment = Assignment.objects.create(item=item, annotator=annotator, **values)
    AssignmentEvent.objects.create(assignment=assignment, name=AssignmentEvent.Name.LEASED)
    if item.kind == Kind.CONVERSATION:
        queue.ask_for_replies(assignment.pk, 0, item.prompt_id)
    assignment.refresh_from_db()
    return assignment


def make_base(project: Project) -> int:
    """Return the id of a checkpoint that may have written something."""
    checkpoints = apps.get_model("training", "Checkpoint").objects
    base, _ = checkpoints.get_or_create(project=project, name="base", kind="base", path="/base")
    return int(base.pk)


def make_replies(assignment: Assignment, *texts: str) -> Turn:
    """Let a checkpoint answer the turn that waits; the first text is shown as A."""
    waiting = assignment.turns.get(state=Turn.State.WAITING)
    Turn.objects.filter(id=waiting.pk).update(attempt=waiting.attempt + 1, claimed_at=Now())
    checkpoint = make_base(assignment.item.project)
    replies = [services.Reply(text, checkpoint, {}) for text in texts or ("one frog", "two frogs")]
    assert services.answer_turn(waiting.pk, waiting.attempt + 1, replies, rng=InOrder())
    waiting.refresh_from_db()
    return waiting


class InOrder(random.Random):
    """Chance that leaves everything where it is."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        pass


def run_out(assignment: Assignment) -> Assignment:
    """Let the lease of an assignment be over, by the clock of the database."""
    Assignment.objects.filter(id=assignment.pk).update(lease_until=Now() - timedelta(minutes=1))
    assignment.refresh_from_db()
    return assignment


def make_annotation(item: Item, annotator: User, **changes: Any) -> Annotation:
    """Return an annotation without an assignment and without its payload."""
    return Annotation.objects.create(item=item, annotator=annotator, kind=item.kind, **changes)


def make_demonstration(
    project: Project, annotator: User, text: str = "a frog\nleaps\nin", **changes: Any
) -> Demonstration:
    """Return a demonstration with its own item and annotation."""
    prompt = changes.pop("prompt", None)
    item = make_item(project, Kind.DEMONSTRATION, prompt=prompt, open_slots=0)
    annotation = make_annotation(item, annotator, **changes)
    completion = make_completion(item.prompt, text, author=annotator)
    return Demonstration.objects.create(annotation=annotation, completion=completion)


def make_comparison(
    item: Item, annotator: User, outcome: str = "left", strength: str = "", **changes: Any
) -> Comparison:
    """Return a comparison of the item's two completions, the older one on the left."""
    annotation = make_annotation(item, annotator, **changes)
    left, right = item.completions.order_by("id")
    return Comparison.objects.create(
        annotation=annotation, left=left, right=right, outcome=outcome, strength=strength
    )


def make_ranking(
    item: Item, annotator: User, tiers: Sequence[Sequence[int]], **changes: Any
) -> Ranking:
    """Return a ranking in tiers of completion ids."""
    ranking = Ranking.objects.create(annotation=make_annotation(item, annotator, **changes))
    RankedCompletion.objects.bulk_create(
        RankedCompletion(ranking=ranking, completion_id=completion, tier=number)
        for number, tier in enumerate(tiers)
        for completion in tier
    )
    return ranking


def make_careless(project: Project, careless: User, *others: User) -> list[Comparison]:
    """Return 40 comparisons by each of them: the first always says left, at once."""
    prompt = make_prompt(project)
    left, right = make_completion(prompt, "short"), make_completion(prompt, "a longer text " * 5)
    items = Item.objects.bulk_create(
        Item(project=project, kind="comparison", prompt=prompt, overlap=3, open_slots=0)
        for _ in range(40)
    )
    made = []
    for place, person in enumerate((careless, *others)):
        for number, item in enumerate(items):
            turned = bool((number * 7 + place) % 3 % 2)
            first, second = (right, left) if turned else (left, right)
            better = "left" if person == careless or turned != bool(number % 2) else "right"
            wall = 900 if person == careless else 8000 + 900 * ((number * 13) % 23)
            made.append((item, person, first, second, better, wall))
    annotations = Annotation.objects.bulk_create(
        Annotation(item=item, annotator=person, kind="comparison", wall_ms=wall)
        for item, person, *_, wall in made
    )
    return Comparison.objects.bulk_create(
        Comparison(annotation=annotation, left=first, right=second, outcome=better)
        for annotation, (_, _, first, second, better, _) in zip(annotations, made, strict=True)
    )
