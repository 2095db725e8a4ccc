"""Answers that somebody complained about, and what makes sure that they do not come back."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop

from annotations.models.items import Item
from annotations.models.projects import Project
from annotations.models.prompts import Completion


class Ticket(models.Model):
    """An answer that was reported. However many people report it, it is one ticket."""

    class Reason(models.TextChoices):
        REPEATS = "repeats", gettext_noop("It repeats itself")
        OFF_TOPIC = "off_topic", gettext_noop("It does not do what was asked")
        FORM = "form", gettext_noop("It has the wrong form or length")
        FALSE = "false", gettext_noop("It says what is not true")
        HARMFUL = "harmful", gettext_noop("It is harmful or offensive")
        BROKEN = "broken", gettext_noop("It is empty or breaks off")
        OTHER = "other", gettext_noop("Something else")

    class State(models.TextChoices):
        OPEN = "open", "Open"
        """Reported; nobody has decided yet."""
        REWRITING = "rewriting", "Waits for a rewrite"
        """Its answer is in the queue, to be made better."""
        REWRITTEN = "rewritten", "Waits for a checkpoint"
        """The rewrite is there, and its regression case binds."""
        FIXED = "fixed", "Fixed"
        """The promoted checkpoint passes its regression case."""
        DISMISSED = "dismissed", "Dismissed"
        """Nothing was done about it, for a reason."""

    UNSETTLED = (State.OPEN, State.REWRITING, State.REWRITTEN)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tickets")
    completion = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="ticket")
    reason = models.CharField(max_length=12, choices=Reason)
    """Of the first report."""
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    item = models.OneToOneField(Item, on_delete=models.PROTECT, null=True, related_name="ticket")
    """Where its rewrite is asked for."""
    fixed_by = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, null=True, related_name="+"
    )
    """The checkpoint that passed while it was promoted."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["project", "state", "-id"], name="ticket_list")]
        constraints = [
            models.CheckConstraint(
                name="ticket_state_known",
                condition=Q(state__in=["open", "rewriting", "rewritten", "fixed", "dismissed"]),
            ),
            models.CheckConstraint(
                name="ticket_rewrite_has_its_item",
                condition=~Q(state__in=["rewriting", "rewritten", "fixed"]) | Q(item__isnull=False),
            ),
            models.CheckConstraint(
                name="ticket_fixed_by_a_checkpoint",
                condition=Q(state="fixed", fixed_by__isnull=False)
                | (~Q(state="fixed") & Q(fixed_by__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"Ticket {self.pk}"


class TicketReport(models.Model):
    """What one person said about a reported answer."""

    class Source(models.TextChoices):
        QUEUE = "queue", "Queue"
        CHAT = "chat", "Chat"
        ARENA = "arena", "Arena"

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="reports")
    reporter = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=12, choices=Ticket.Reason)
    words = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=12, choices=Source)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["reporter", "-created_at"], name="ticket_report_recent"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["ticket", "reporter"], name="ticket_report_once_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ticket} by {self.reporter}"


class TicketEvent(models.Model):
    """One thing that happened to a ticket. Never updated, never deleted."""

    class Name(models.TextChoices):
        OPENED = "opened", "Opened"
        SENT = "sent", "Rewrite asked for"
        CHECK = "check", "Check changed"
        REWRITTEN = "rewritten", "Rewritten"
        TAKEN_BACK = "taken_back", "Rewrite taken back"
        FIXED = "fixed", "Fixed"
        CAME_BACK = "came_back", "Came back"
        DISMISSED = "dismissed", "Dismissed"
        REOPENED = "reopened", "Taken up again"

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="events")
    name = models.CharField(max_length=12, choices=Name)
    person = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, null=True, related_name="+"
    )
    """Null for what happened by itself, or by somebody whose work is blind."""
    words = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.ticket}: {self.name}"


class RegressionCase(models.Model):
    """The prompt of a ticket, to be answered by every checkpoint that wants to be promoted.

    It binds from when the rewrite is there, and for good.
    """

    class Kind(models.TextChoices):
        PATTERN = "pattern", "A pattern that no answer may have"
        RUBRIC = "rubric", "Rules that every answer must keep"
        REWARD = "reward", "The reward model must not prefer the rewrite"

    BINDING = (Ticket.State.REWRITTEN, Ticket.State.FIXED)
    MOST_ANSWERS = 16

    ticket = models.OneToOneField(Ticket, on_delete=models.CASCADE, related_name="case")
    kind = models.CharField(max_length=12, choices=Kind)
    parameters: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """As `annotations.algorithms.regressions` reads them."""
    answers = models.PositiveSmallIntegerField(default=4)
    """How many answers a checkpoint gives, each of which must pass."""
    version = models.PositiveIntegerField(default=1)
    """Raised when the check changes: what was found by an earlier one counts no more."""
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="regression_case_kind_known",
                condition=Q(kind__in=["pattern", "rubric", "reward"]),
            ),
            models.CheckConstraint(
                name="regression_case_has_answers", condition=Q(answers__gte=1, answers__lte=16)
            ),
        ]

    def __str__(self) -> str:
        return f"Regression case of ticket {self.ticket_id}"
