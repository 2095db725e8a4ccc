"""Who takes part in a labelling campaign, in which role, and by which guidelines."""

from __future__ import annotations

from typing import TypedDict

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop


class User(AbstractUser):
    """A person who signs in, or (inactive) one whose votes were imported."""

    keys: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True
    )
    """Keys that this person chose, by action; every other action has the key of the page."""
    sends_on_choice = models.BooleanField(default=False)
    """Choosing in a comparison sends it."""

    reach: frozenset[int] | None = None
    """The projects that the token of this request reaches; None where a person signed in."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Kind(models.TextChoices):
    """The kinds of labelling work. Each kind has its own payload model below."""

    DEMONSTRATION = "demonstration", gettext_noop("Write")
    COMPARISON = "comparison", gettext_noop("Compare")
    RANKING = "ranking", gettext_noop("Rank")
    RATING = "rating", gettext_noop("Rate")
    REWRITE = "rewrite", gettext_noop("Rewrite")
    ASSEMBLY = "assembly", gettext_noop("Assemble")
    REVIEW = "review", gettext_noop("Review")
    CONVERSATION = "conversation", gettext_noop("Converse")


WRITTEN_KINDS = (Kind.DEMONSTRATION, Kind.REWRITE, Kind.ASSEMBLY)
"""Kinds whose annotations are texts: others review them, and models imitate them."""


class Role(models.TextChoices):
    OWNER = "owner", gettext_noop("Owner")
    ENGINEER = "engineer", gettext_noop("Engineer")
    REVIEWER = "reviewer", gettext_noop("Reviewer")
    ANNOTATOR = "annotator", gettext_noop("Labeller")


def default_counters() -> list[str]:
    """Return what is counted in a new project."""
    return ["words", "lines"]


class Project(models.Model):
    """One labelling campaign: guidelines, members, prompts and queue settings."""

    class Rendering(models.TextChoices):
        VERBATIM = "verbatim", "As it is, every line break kept"
        MARKDOWN = "markdown", "As Markdown"

    class SkipPolicy(models.TextChoices):
        OTHERS = "others", "To others only"
        LATER = "later", "To others, and later back to the one who skipped"

    class Adjudicated(models.TextChoices):
        INSTEAD = "instead", "Instead of the votes"
        BESIDE = "beside", "As one more vote"
        ASIDE = "aside", "Not at all"

    class FlagPause(models.TextChoices):
        NEVER = "never", "Nobody: an owner looks first"
        SURE = "sure", "Whose flag chance gives less than once in 1,000"
        VERY_SURE = "very_sure", "Whose flag chance gives less than once in 1,000,000"

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=300, blank=True)
    is_paused = models.BooleanField(default=False)
    """Nobody is handed anything new; what people hold they may still hand in."""

    # The queue
    comparison_overlap = models.PositiveSmallIntegerField(default=1)
    lease_minutes = models.PositiveSmallIntegerField(default=30)
    skip_policy = models.CharField(max_length=12, choices=SkipPolicy, default=SkipPolicy.OTHERS)
    max_skips = models.PositiveSmallIntegerField(default=0)
    """An item that so many people skipped is handed out no more. 0: never."""
    daily_limit = models.PositiveIntegerField(null=True, blank=True)
    """Annotations that one person may hand in on one day."""
    total_limit = models.PositiveIntegerField(null=True, blank=True)
    """Annotations that one person may hand in at all."""
    gold_percent = models.PositiveSmallIntegerField(default=0)
    """Of the items that a person is handed, while there are gold items new to them."""
    review_percent = models.PositiveSmallIntegerField(default=0)
    """Of the demonstrations, rewrites and assemblies, those that somebody else reviews."""
    review_by_risk = models.BooleanField(default=False)
    """Texts with signs of risk are reviewed more often; `review_percent` is the least."""

    flag_pause = models.CharField(max_length=12, choices=FlagPause, default=FlagPause.NEVER)
    """Which flags pause a labeller until an owner decides."""

    random_percent = models.PositiveSmallIntegerField(default=10)
    """Of the comparisons and rankings whose worth is known, those asked at random. 100: all of the
    queue stays in its order."""
    weighed_kinds: models.JSONField[list[str], list[str]] = models.JSONField(
        default=list, blank=True, editable=False
    )
    """The kinds of which the queue knows what an answer is worth."""

    adjudicated = models.CharField(max_length=8, choices=Adjudicated, default=Adjudicated.INSTEAD)
    """What a decision about an item counts for in training, where people disagreed."""

    # What people may do with their work
    grace_seconds = models.PositiveIntegerField(default=60)
    """How long after a submit or a skip it can be undone."""
    edits_allowed = models.BooleanField(default=True)
    """One's own work can be corrected from the history after the grace period."""
    own_prompts_allowed = models.BooleanField(default=False)
    own_conversations_allowed = models.BooleanField(default=False)
    learns_from_arena = models.BooleanField(default=False)
    """Votes of the arena are preference pairs, unless something speaks against them."""
    shows_agreement = models.BooleanField(default=False)
    """People see how far they agree with others, after both have answered."""

    # How texts look and what a writer sees counted
    rendering = models.CharField(max_length=12, choices=Rendering, default=Rendering.VERBATIM)
    counters: models.JSONField[list[str], list[str]] = models.JSONField(
        default=default_counters, blank=True
    )
    """Of `characters`, `words`, `lines`, `syllables`: what is counted while one writes."""
    line_syllables: models.JSONField[list[int], list[int]] = models.JSONField(
        default=list, blank=True
    )
    """The syllables wanted in each line (5, 7, 5 for haikus), or nothing."""

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
            models.CheckConstraint(
                name="project_percents_up_to_100",
                condition=Q(
                    gold_percent__lte=100, review_percent__lte=100, random_percent__lte=100
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user in a project, with the role that decides what they see."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        """By an owner, who alone can resume it."""
        RESTING = "resting", "Resting"
        """By the member, who can come back."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        "annotations.User", on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=12, choices=Role)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    queue_marks: models.JSONField[dict[str, dict[str, int]], dict[str, dict[str, int]]] = (
        models.JSONField(default=dict, blank=True, editable=False)
    )
    """By kind and priority, the last item that this person has passed in the queue."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_per_project"),
            models.CheckConstraint(name="membership_role_known", condition=Q(role__in=Role.values)),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"


GENERAL = "general"
"""The part of the guidelines that stands before that of every kind of work."""

EVALUATION = "evaluation"
"""The part by which evaluations are judged, where there is one: other things may come first there
than in what models learn from (arXiv:2203.02155, section 3.4)."""

GUIDELINE_PARTS = [
    (GENERAL, gettext_noop("Every kind of work")),
    *Kind.choices,
    (EVALUATION, gettext_noop("Final evaluation")),
]


class GuidelineVersion(models.Model):
    """The rules for one kind of work, in Markdown, as they were published. Never changed.

    The highest version of a kind is in force. Evaluations have rules of their own where an owner
    publishes some; an empty version takes them back. What holds for every kind is a part of its
    own; a new version of it makes a new version of every kind, so that one version says all that
    somebody worked by.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="guideline_versions"
    )
    kind = models.CharField(max_length=16, choices=GUIDELINE_PARTS)
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    """Of this kind alone."""
    general = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    """The general part that stands before it."""
    html = models.TextField(editable=False)
    """Both parts rendered and sanitised once, when they are published."""
    note = models.CharField(max_length=300, blank=True)
    """What is new, in the words of whoever published it."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["kind", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "version"], name="guideline_version_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} v{self.version}"

    @property
    def is_for_evaluation(self) -> bool:
        return self.kind == EVALUATION

    @property
    def is_taken_back(self) -> bool:
        """Say whether evaluations are judged by the guidelines of their kind again."""
        return self.is_for_evaluation and not self.text.strip()

    @property
    def full_text(self) -> str:
        """Return the general part and that of the kind, as they are read."""
        parts = [self.general.text if self.general else "", self.text]
        return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


class GuidelineAcknowledgement(models.Model):
    """A person has seen a version of the guidelines and said so."""

    user = models.ForeignKey(
        "annotations.User", on_delete=models.CASCADE, related_name="acknowledgements"
    )
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.CASCADE, related_name="acknowledgements"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "guideline_version"], name="acknowledgement_once_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.guideline_version} by {self.user}"


class Question(TypedDict):
    """One question about one completion: a scale from 1 to `points`, or a flag (yes or no)."""

    name: str
    text: str
    form: str
    points: int
    low: str
    high: str
    required: bool


class RatingScheme(models.Model):
    """The questions that people answer about each completion. Immutable once published.

    The highest published version is in force. A row without `published_at` is the one draft.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rating_schemes")
    version = models.PositiveIntegerField()
    questions: models.JSONField[list[Question], list[Question]] = models.JSONField()
    before_ranking = models.BooleanField(default=False)
    """Rankings ask these questions first, as InstructGPT did (arXiv:2203.02155, figure 12)."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="rating_scheme_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(published_at__isnull=True),
                name="rating_scheme_one_draft",
            ),
        ]

    def __str__(self) -> str:
        return f"Questions v{self.version}"
