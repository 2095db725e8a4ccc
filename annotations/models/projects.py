"""Who takes part in a labelling campaign, in which role, and by which guidelines."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q


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
