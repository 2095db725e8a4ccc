"""Annotations that count no longer, and why."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotations.models.annotations import in_force
from annotations.models.projects import GuidelineVersion, Project


class Recall(models.Model):
    """What people said that is not to be learned from any more. In force until it is lifted.

    An annotation is recalled if it fits every condition that is given, whenever it was handed in:
    of an annotator also what comes later. Nothing is deleted and nobody's pay changes.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="recalls")
    annotator = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    guideline_version = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    batch = models.CharField(max_length=64, blank=True)
    """Of the items, as their own `batch`."""
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    """Handed in before this moment."""
    reason = models.TextField()
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    lifted_by = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["project"], name="recall_in_force", condition=Q(lifted_at__isnull=True)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="recall_names_something",
                condition=Q(annotator__isnull=False)
                | Q(guideline_version__isnull=False)
                | ~Q(batch="")
                | Q(since__isnull=False)
                | Q(until__isnull=False),
            ),
            models.CheckConstraint(name="recall_says_why", condition=~Q(reason="")),
            models.CheckConstraint(
                name="recall_lifted_by_somebody_for_a_reason",
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, lift_reason="")
                | (Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(lift_reason="")),
            ),
        ]

    def __str__(self) -> str:
        return f"Recall {self.pk}"

    @property
    def is_in_force(self) -> bool:
        return self.lifted_at is None

    def fits(self, path: str = "") -> Q:
        """Return the condition that the annotation at `path` is one of those that are meant.

        The path may only follow single objects (`annotation__`, `ranking__annotation__`).
        """
        wanted = {
            "item__project_id": self.project_id,
            "annotator_id": self.annotator_id,
            "guideline_version_id": self.guideline_version_id,
            "item__batch": self.batch or None,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        return Q(**{f"{path}{name}": value for name, value in given.items()})


def recalls_in_force(project_id: int) -> models.QuerySet[Recall]:
    """Return what is recalled in a project now."""
    return Recall.objects.filter(project=project_id, lifted_at__isnull=True)


def recalled(path: str, project_id: int) -> Q:
    """Return the condition that the annotation at `path` is recalled in the project."""
    found = Q(pk__in=[])
    for recall in recalls_in_force(project_id):
        found |= recall.fits(path)
    return found


def counted(path: str, project_id: int) -> Q:
    """Return the condition that the annotation at `path` counts: in force and not recalled."""
    found = in_force(path)
    for recall in recalls_in_force(project_id):
        found &= ~recall.fits(path)
    return found
