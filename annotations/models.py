"""The nouns of collecting: who labels what, under which guidelines, and what they said.

Everything a trainer ever reads comes from `Annotation` and its payloads. They are immutable:
a correction is a new annotation that supersedes the old one.
"""

from __future__ import annotations

from typing import TypedDict

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q


class Message(TypedDict):
    """One turn of a conversation, as TRL's conversational formats have it."""

    role: str
    content: str


class User(AbstractUser):
    """A person who signs in, or (inactive) one whose votes were imported."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Kind(models.TextChoices):
    """The kinds of labelling work. Each kind has its own payload model below."""

    DEMONSTRATION = "demonstration", "Write"
    COMPARISON = "comparison", "Compare"
    RANKING = "ranking", "Rank"


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ENGINEER = "engineer", "Engineer"
    REVIEWER = "reviewer", "Reviewer"
    ANNOTATOR = "annotator", "Labeller"


class Split(models.TextChoices):
    TRAIN = "train", "Train"
    VALIDATION = "validation", "Validation"
    TEST = "test", "Test"


class Project(models.Model):
    """One labelling campaign: guidelines, members, prompts and queue settings."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=300, blank=True)
    comparison_overlap = models.PositiveSmallIntegerField(default=1)
    lease_minutes = models.PositiveSmallIntegerField(default=30)
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="project_overlap_at_least_one", condition=Q(comparison_overlap__gte=1)
            ),
            models.CheckConstraint(
                name="project_lease_at_least_one", condition=Q(lease_minutes__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user in a project, with the role that decides what they see."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        "annotations.User", on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=12, choices=Role)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_per_project"),
            models.CheckConstraint(name="membership_role_known", condition=Q(role__in=Role.values)),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"


class GuidelineVersion(models.Model):
    """The rules for one kind of work, in Markdown. Immutable once published.

    The highest published version of a kind is in force. A row without `published_at` is the
    one draft that a project may have per kind.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="guideline_versions"
    )
    kind = models.CharField(max_length=16, choices=Kind)
    version = models.PositiveIntegerField()
    text = models.TextField()
    html = models.TextField(editable=False)
    """The text rendered and sanitised once, when it is saved."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["kind", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "version"], name="guideline_version_once"
            ),
            models.UniqueConstraint(
                fields=["project", "kind"],
                condition=Q(published_at__isnull=True),
                name="guideline_one_draft_per_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} v{self.version}"


class Prompt(models.Model):
    """The messages that a completion answers."""

    class Origin(models.TextChoices):
        WRITTEN = "written", "Written here"
        IMPORTED = "imported", "Imported"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    messages: models.JSONField[list[Message], list[Message]] = models.JSONField()
    text = models.TextField()
    """The last user turn, for pages and searches."""
    origin = models.CharField(max_length=12, choices=Origin, default=Origin.WRITTEN)
    tags: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    content_hash = models.CharField(max_length=64)
    """SHA-256 of the canonical JSON of `messages`."""
    split = models.CharField(max_length=12, choices=Split)
    """Decided by `content_hash` alone, so that a prompt never changes sides."""
    created_by = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "content_hash"], name="prompt_once_per_project"
            ),
            models.CheckConstraint(name="prompt_split_known", condition=Q(split__in=Split.values)),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Completion(models.Model):
    """One answer to a prompt, and where it came from."""

    class Origin(models.TextChoices):
        HUMAN = "human", "Person"
        CHECKPOINT = "checkpoint", "Checkpoint"
        IMPORTED = "imported", "Imported"

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="completions")
    text = models.TextField()
    origin = models.CharField(max_length=12, choices=Origin)
    author = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    checkpoint = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, null=True, related_name="completions"
    )
    source_name = models.CharField(max_length=200, blank=True)
    """The model's name as an import gave it. Never shown to annotators."""
    sampling = models.JSONField(default=dict, blank=True)
    """Temperature, top-p, seed and request id that made this text."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="completion_origin_has_its_source",
                condition=Q(origin="human", author__isnull=False)
                | Q(origin="checkpoint", checkpoint__isnull=False)
                | Q(origin="imported"),
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Item(models.Model):
    """One unit of labelling work, wanted from `overlap` annotators."""

    class Purpose(models.TextChoices):
        TRAINING = "training", "Training"
        EVALUATION = "evaluation", "Evaluation"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items")
    kind = models.CharField(max_length=16, choices=Kind)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="items")
    completions = models.ManyToManyField(Completion, related_name="items", blank=True)
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.TRAINING)
    overlap = models.PositiveSmallIntegerField(default=1)
    open_slots = models.PositiveSmallIntegerField(default=1)
    """How many annotators may still be handed this item. Taken by a conditional UPDATE."""
    priority = models.SmallIntegerField(default=0)
    batch = models.CharField(max_length=64, blank=True)
    """Groups the items made by one act (a sampling run, an import): `run-12`, `import-3`."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["project", "kind", "-priority", "id"],
                name="item_queue",
                condition=Q(open_slots__gt=0),
            ),
            models.Index(fields=["project", "batch"], name="item_batch"),
        ]
        constraints = [
            models.CheckConstraint(
                name="item_open_slots_within_overlap", condition=Q(open_slots__lte=F("overlap"))
            ),
            models.CheckConstraint(name="item_kind_known", condition=Q(kind__in=Kind.values)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} item {self.pk}"


class Assignment(models.Model):
    """An item handed to one annotator under a lease."""

    class State(models.TextChoices):
        LEASED = "leased"
        """Handed out; the annotator holds one of the item's slots until `lease_until`."""
        SUBMITTED = "submitted"
        """Answered. Final."""
        SKIPPED = "skipped"
        """Given back with a reason; the item goes to others."""
        EXPIRED = "expired"
        """The lease ran out and the slot went back; a late submit is still kept."""

    class SkipReason(models.TextChoices):
        UNCLEAR = "unclear", "The prompt is unclear"
        UNSURE = "unsure", "I can't judge this"
        BROKEN = "broken", "Something is broken or empty"
        HARMFUL = "harmful", "I'd rather not read this"
        OTHER = "other", "Something else"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="assignments"
    )
    state = models.CharField(max_length=12, choices=State, default=State.LEASED)
    shown_order: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    """Completion ids in the order in which this annotator sees them."""
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    leased_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=12, choices=SkipReason, blank=True)
    skip_note = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["lease_until"], name="assignment_expiry", condition=Q(state="leased")
            ),
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


class Annotation(models.Model):
    """What a person said about an item. Never updated, never deleted.

    The payload lies in `demonstration`, `comparison` or `ranking`, by `kind`.
    """

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="annotations")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="annotations"
    )
    assignment = models.OneToOneField(
        Assignment, on_delete=models.PROTECT, null=True, related_name="annotation"
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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
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
