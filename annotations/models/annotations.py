"""What people said: immutable, because every trainer reads it from here."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop

from annotations.models.items import Assignment, Item
from annotations.models.projects import GuidelineVersion, Kind, RatingScheme
from annotations.models.prompts import Completion


class Annotation(models.Model):
    """What a person said about an item. Never updated, never deleted.

    The payload lies in the model named after its `kind`; a ranking may have a rating beside it.
    In force is what is neither superseded nor retracted: `in_force`.
    """

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="annotations")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="annotations"
    )
    assignment = models.ForeignKey(
        Assignment, on_delete=models.PROTECT, null=True, related_name="annotations"
    )
    """Null for imported annotations, which were never handed out here."""
    kind = models.CharField(max_length=16, choices=Kind)
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, null=True, related_name="annotations"
    )
    shown_order: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    reason = models.TextField(blank=True)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="superseded_by"
    )
    surplus = models.BooleanField(default=False)
    """Submitted after the lease ran out and the place was taken: kept, beyond the overlap."""
    wall_ms = models.PositiveIntegerField(null=True)
    """From hand-out to submit, in milliseconds."""
    active_ms = models.PositiveIntegerField(null=True)
    """The part of it with the page in sight and the person at work; null if not measured."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["annotator", "created_at"], name="annotation_by_day")]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator"],
                condition=Q(supersedes__isnull=True),
                name="annotation_once_per_person",
            ),
            models.CheckConstraint(name="annotation_kind_known", condition=Q(kind__in=Kind.values)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} annotation {self.pk}"


def in_force(path: str = "") -> Q:
    """Return the condition that the annotation at `path` is neither superseded nor retracted."""
    # Of the correction by the column that joins it: by its number PostgreSQL expects one row of a
    # million, and plans what takes seconds to take minutes.
    return Q(**{f"{path}superseded_by__supersedes": None, f"{path}retraction": None})


class Retraction(models.Model):
    """An annotation was taken back by the one who made it, within the grace period."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Retraction of {self.annotation_id}"


class CorrectionDraft(models.Model):
    """What was entered so far to correct an annotation; gone when that is not in force any more."""

    annotation = models.OneToOneField(
        Annotation, on_delete=models.CASCADE, primary_key=True, related_name="correction_draft"
    )
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.CASCADE, null=True, related_name="+"
    )
    """Who corrects: the annotation's, here for the index, among any number of answers."""
    fields: models.JSONField[dict[str, list[str]], dict[str, list[str]]] = models.JSONField()
    """As the form of its kind has them, like those of an assignment's draft."""
    revision = models.PositiveIntegerField(default=0)
    """Raised by every saved draft; a page that knows an older one may not overwrite it."""

    def __str__(self) -> str:
        return f"Draft of a correction of {self.annotation_id}"


class Demonstration(models.Model):
    """An ideal answer, written by a person."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    completion = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return str(self.completion)


class Comparison(models.Model):
    """Which of two completions is better, and by how much."""

    class Outcome(models.TextChoices):
        LEFT = "left", "A is better"
        RIGHT = "right", "B is better"
        TIE = "tie", "Tie"
        BOTH_BAD = "both_bad", "Both bad"

    class Strength(models.TextChoices):
        SIGNIFICANTLY = "significantly", "Significantly better"
        BETTER = "better", "Better"
        SLIGHTLY = "slightly", "Slightly better"
        NEGLIGIBLY = "negligibly", "Negligibly better"

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    left = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    """The completion that this annotator saw as A."""
    right = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    """The completion that this annotator saw as B."""
    outcome = models.CharField(max_length=12, choices=Outcome)
    strength = models.CharField(max_length=16, choices=Strength, blank=True)
    """Empty for a tie, for both bad, and where an import did not say."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="comparison_of_two_completions", condition=~Q(left=F("right"))
            ),
            models.CheckConstraint(
                name="comparison_outcome_known",
                condition=Q(outcome__in=["left", "right", "tie", "both_bad"]),
            ),
            models.CheckConstraint(
                name="comparison_strength_only_with_a_side",
                condition=Q(outcome__in=["left", "right"]) | Q(strength=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.strength}".strip()


class Ranking(models.Model):
    """Several completions in tiers, best first; completions in one tier are tied."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)

    def __str__(self) -> str:
        return f"Ranking {self.pk}"


class RankedCompletion(models.Model):
    """The tier of one completion in one ranking. Tier 0 is the best."""

    ranking = models.ForeignKey(Ranking, on_delete=models.PROTECT, related_name="entries")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    tier = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["tier", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "completion"], name="ranked_completion_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.completion_id} in tier {self.tier}"


class Rating(models.Model):
    """Answers to the questions of a scheme about each shown completion."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    scheme = models.ForeignKey(RatingScheme, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"Rating {self.pk}"


class RatingAnswer(models.Model):
    """One answer about one completion: a point of the scale, or 1 and 0 for a flag."""

    rating = models.ForeignKey(Rating, on_delete=models.PROTECT, related_name="answers")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    question = models.CharField(max_length=50)
    value = models.SmallIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rating", "completion", "question"], name="rating_answer_once"
            ),
            models.CheckConstraint(
                name="rating_answer_not_negative", condition=Q(value__gte=0, value__lte=100)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.question} of {self.completion_id}: {self.value}"


class Rewrite(models.Model):
    """A better version of a shown completion, by a person. The original stays as it was."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    original = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    completion = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="rewrite_is_another_completion", condition=~Q(original=F("completion"))
            ),
        ]

    def __str__(self) -> str:
        return str(self.completion)


class Assembly(models.Model):
    """An answer put together from parts of shown completions, then polished by a person."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    completion = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name_plural = "assemblies"

    def __str__(self) -> str:
        return str(self.completion)


class AssemblyPart(models.Model):
    """Characters `start` to `end` of a shown completion, at a position of the assembly."""

    assembly = models.ForeignKey(Assembly, on_delete=models.PROTECT, related_name="parts")
    position = models.PositiveSmallIntegerField()
    source = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["assembly", "position"], name="assembly_part_once_per_position"
            ),
            models.CheckConstraint(name="assembly_part_not_empty", condition=Q(start__lt=F("end"))),
        ]

    def __str__(self) -> str:
        return f"{self.source_id}[{self.start}:{self.end}]"


class Review(models.Model):
    """What somebody else says about a demonstration, a rewrite or an assembly."""

    class Decision(models.TextChoices):
        ACCEPT = "accept", gettext_noop("Accept")
        FIX = "fix", gettext_noop("Fix")
        REJECT = "reject", gettext_noop("Reject")

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)
    subject = models.ForeignKey(Annotation, on_delete=models.PROTECT, related_name="reviews")
    decision = models.CharField(max_length=12, choices=Decision)
    completion = models.OneToOneField(
        Completion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    """The text as it should be, of a fix."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="review_decision_known", condition=Q(decision__in=["accept", "fix", "reject"])
            ),
            models.CheckConstraint(
                name="review_fix_has_its_text",
                condition=Q(decision="fix", completion__isnull=False)
                | (~Q(decision="fix") & Q(completion__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.decision} {self.subject_id}"
