"""Files that somebody brought, and how far reading them is."""

from __future__ import annotations

from typing import TypedDict

from django.db import models
from django.db.models import Q

from annotations.models.projects import Project


class BadRow(TypedDict):
    """What is wrong with a line of a file."""

    line: int
    message: str


class Import(models.Model):
    """A file on its way into a project. Checked as a whole first, then written in batches.

    The row is the queue: a message is only a hint. Whoever takes it raises `attempt` and holds it
    until `held_until`; every batch is written in one transaction with the place behind it, under
    that attempt, so that a killed worker leaves whole batches and the next goes on there.
    """

    class State(models.TextChoices):
        SHOWN = "shown", "Waits for you"
        """Uploaded; somebody looks at what it was taken for."""
        CHECKING = "checking", "Being checked"
        WRITING = "writing", "Being imported"
        DONE = "done", "Imported"
        REFUSED = "refused", "Has bad lines"
        """Nothing was written. The columns can be corrected, or the bad lines left out."""
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Stopped"
        """What had been written until then stays."""

    ACTIVE = (State.CHECKING, State.WRITING)
    OVER = (State.DONE, State.CANCELLED)
    """Its file is gone."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    name = models.CharField(max_length=200)
    """What the file was called. Never a path."""
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    container = models.CharField(max_length=12)
    format = models.CharField(max_length=20)
    columns: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True
    )
    """Of `importers.TARGETS`, to the name of a column."""
    annotator = models.CharField(max_length=200)
    """Who said what the file does not say who said."""
    asks = models.BooleanField(default=True)
    """People are asked about what nobody judged in the file."""
    leaves_out_bad = models.BooleanField(default=False)

    state = models.CharField(max_length=12, choices=State, default=State.SHOWN)
    rows = models.PositiveBigIntegerField(default=0)
    """Done in this state."""
    line = models.PositiveBigIntegerField(default=1)
    offset = models.PositiveBigIntegerField(default=0)
    """With `rows` and `line`: the place from which reading goes on."""
    total = models.PositiveBigIntegerField(null=True)
    """Rows in the file, once it is checked."""
    found: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(
        default=dict, blank=True
    )
    """What there is in the file, by name."""
    questions: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(
        default=dict, blank=True
    )
    """Of ratings in the file: the highest point of each scale, 0 for a flag."""
    written: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(
        default=dict, blank=True
    )
    """What became of it, by name."""
    bad: models.JSONField[list[BadRow], list[BadRow]] = models.JSONField(default=list, blank=True)
    """The first of them."""
    bad_count = models.PositiveBigIntegerField(default=0)
    problem = models.TextField(blank=True)
    """Why it failed, and what to do."""

    attempt = models.PositiveIntegerField(default=0)
    held_until = models.DateTimeField(null=True)
    lost = models.PositiveSmallIntegerField(default=0, db_default=0)
    """How many who held it ended without a word since it last came on."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                name="import_active",
                condition=Q(state__in=["checking", "writing"]),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="import_state_known",
                condition=Q(
                    state__in=[
                        "shown",
                        "checking",
                        "writing",
                        "done",
                        "refused",
                        "failed",
                        "cancelled",
                    ]
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE

    @property
    def batch(self) -> str:
        """Return the name of the items that it makes."""
        return f"import-{self.sha256[:12]}"
