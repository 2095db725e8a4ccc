"""The units of labelling work, and who was handed which."""

from __future__ import annotations

import random
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop

from annotations.models.projects import EVALUATION, GuidelineVersion, Kind, Project, RatingScheme
from annotations.models.prompts import Completion, Prompt


class Arm(models.TextChoices):
    """How the items are asked of which somebody has reckoned what an answer would tell."""

    CHOSEN = "chosen", "Chosen"
    """By what an answer is worth."""
    RANDOM = "random", "At random"
    """Kept aside by lot, and asked in the order of lots: what is said there stands for all."""
    TURN = "turn", "In turn"
    """In the order of lots among the chosen: nothing learns from it, so no choice may touch it."""


def draw_lot() -> float:
    """Return a lot, between 0 and 1."""
    return random.random()


class Item(models.Model):
    """One unit of labelling work, wanted from `overlap` annotators."""

    class Purpose(models.TextChoices):
        TRAINING = "training", "Training"
        EVALUATION = "evaluation", "Evaluation"
        GOLD = "gold", "Gold"
        ARENA = "arena", "Arena"

    ASIDE = (Purpose.GOLD, Purpose.ARENA)
    """What is no part of the work that waits or is done: it is asked beside it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items")
    kind = models.CharField(max_length=16, choices=Kind)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="items")
    completions = models.ManyToManyField(Completion, related_name="items", blank=True)
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.TRAINING)
    overlap = models.PositiveSmallIntegerField(default=1)
    open_slots = models.PositiveSmallIntegerField(default=1)
    """How many annotators may still be handed this item. Taken by a conditional UPDATE."""
    priority = models.SmallIntegerField(default=0)
    fingerprint = models.CharField(max_length=64, blank=True)
    """Of the prompt and the texts that are shown, in any order: the same question asked again."""
    subject = models.ForeignKey(
        "annotations.Annotation", on_delete=models.PROTECT, null=True, related_name="review_items"
    )
    """What a review is about."""
    rating_scheme = models.ForeignKey(
        RatingScheme, on_delete=models.PROTECT, null=True, related_name="items"
    )
    """The questions of a rating, or those that a ranking asks first."""
    gold = models.JSONField(null=True, blank=True)
    """The known answer of a gold item, as its kind's payload has it, and under `guidelines` that it
    is known by those for evaluations. Never sent to annotators."""
    review_chance = models.FloatField(null=True)
    """Of a review: with which probability its subject was drawn; null before that was kept."""
    skips = models.PositiveSmallIntegerField(default=0)
    batch = models.CharField(max_length=64, blank=True)
    """Groups the items made by one act (a sampling run, an import): `run-12`, `import-3`."""
    lot = models.FloatField(default=draw_lot)
    """Drawn once: the order in which items are looked at where nothing else may order them."""
    arm = models.CharField(max_length=8, choices=Arm, blank=True)
    """Empty until an answer's worth is reckoned. Who is in the arm at random stays there."""
    worth = models.FloatField(null=True)
    """Where it stands among those that are chosen, the higher the sooner. Reckoned anew now and
    then; taken away as the item is handed out, so that no item is asked again before all are."""
    expected: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(
        null=True, blank=True
    )
    """What an answer is expected to tell: `annotations.algorithms.arms.Expected`."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["project", "kind", "-priority", "id"],
                name="item_queue",
                condition=Q(open_slots__gt=0),
            ),
            models.Index(
                fields=["project", "kind", "id"],
                name="item_gold",
                condition=Q(purpose="gold"),
            ),
            models.Index(fields=["project", "batch"], name="item_batch"),
            models.Index(
                fields=["project", "kind", "-worth", "id"],
                name="item_worth",
                condition=Q(open_slots__gt=0, worth__isnull=False),
            ),
            models.Index(
                fields=["project", "kind", "arm", "lot"],
                name="item_lot",
                condition=Q(open_slots__gt=0),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="item_open_slots_within_overlap", condition=Q(open_slots__lte=F("overlap"))
            ),
            models.CheckConstraint(name="item_kind_known", condition=Q(kind__in=Kind.values)),
            models.CheckConstraint(
                name="item_review_has_a_subject",
                condition=~Q(kind="review") | Q(subject__isnull=False),
            ),
            models.CheckConstraint(
                name="item_rating_has_questions",
                condition=~Q(kind="rating") | Q(rating_scheme__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} item {self.pk}"

    @property
    def is_for_evaluation(self) -> bool:
        """Say whether it is judged by the guidelines for evaluations, where there are some."""
        if self.purpose == self.Purpose.GOLD:
            return (self.gold or {}).get("guidelines") == EVALUATION
        return self.purpose == self.Purpose.EVALUATION


class Assignment(models.Model):
    """An item handed to one annotator under a lease."""

    class State(models.TextChoices):
        LEASED = "leased", gettext_noop("Leased")
        """Handed out; the annotator holds one of the item's slots until `lease_until`."""
        SUBMITTED = "submitted", gettext_noop("Submitted")
        """Answered. Final."""
        SKIPPED = "skipped", gettext_noop("Skipped")
        """Given back with a reason; the item goes to others."""
        EXPIRED = "expired", gettext_noop("Expired")
        """The lease ran out and the slot went back; a late submit is still kept."""

    CLOSED = (State.SUBMITTED, State.SKIPPED)
    UNANSWERED = (State.LEASED, State.EXPIRED)

    class SkipReason(models.TextChoices):
        UNCLEAR = "unclear", gettext_noop("The prompt is unclear")
        UNSURE = "unsure", gettext_noop("I can't judge this")
        BROKEN = "broken", gettext_noop("Something is broken or empty")
        HARMFUL = "harmful", gettext_noop("I'd rather not read this")
        OTHER = "other", gettext_noop("Something else")

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="assignments"
    )
    state = models.CharField(max_length=12, choices=State, default=State.LEASED)
    shown_order: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    """Completion ids in the order in which this annotator sees them."""
    fingerprint = models.CharField(max_length=64, blank=True)
    """The item's, here for the index: what a person was asked must be found at once."""
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    leased_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    draft: models.JSONField[dict[str, list[str]] | None, dict[str, list[str]] | None] = (
        models.JSONField(null=True, blank=True)
    )
    """What was entered so far, as the fields of its form."""
    draft_revision = models.PositiveIntegerField(default=0)
    """Raised by every saved draft; a page that knows an older one may not overwrite it."""
    active_ms = models.PositiveIntegerField(default=0)
    """Time with the page in sight and the person at work, as their browser measured it."""
    skip_reason = models.CharField(max_length=12, choices=SkipReason, blank=True)
    skip_note = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["lease_until"], name="assignment_expiry", condition=Q(state="leased")
            ),
            models.Index(fields=["annotator"], name="assignment_held", condition=Q(state="leased")),
            models.Index(fields=["annotator", "-closed_at"], name="assignment_history"),
            models.Index(fields=["annotator", "fingerprint"], name="assignment_questions"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator"], name="assignment_once_per_person"
            ),
            models.CheckConstraint(
                name="assignment_skip_has_reason",
                condition=~Q(state="skipped") | ~Q(skip_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} for {self.annotator} ({self.state})"


class AssignmentEvent(models.Model):
    """One thing that happened to an assignment. Never updated, never deleted."""

    class Name(models.TextChoices):
        LEASED = "leased", gettext_noop("Handed out")
        DRAFTED = "drafted", gettext_noop("Draft begun")
        SUBMITTED = "submitted", gettext_noop("Handed in")
        UNDONE = "undone", gettext_noop("Taken back")
        CORRECTED = "corrected", gettext_noop("Corrected")
        SKIPPED = "skipped", gettext_noop("Skipped")
        EXPIRED = "expired", gettext_noop("Lease ran out")

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="events")
    name = models.CharField(max_length=12, choices=Name)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.assignment_id} {self.name}"
