"""Conversations: what a labeller said, the two replies to each message, and which was picked.

While a conversation goes on it is the turns of its assignment, which change. When the labeller
ends it, what they picked becomes the payload of an annotation, which never does.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from annotations.models.annotations import Annotation, Comparison
from annotations.models.items import Assignment
from annotations.models.prompts import Completion, Prompt

_GOES_ON = [Comparison.Outcome.LEFT, Comparison.Outcome.RIGHT, Comparison.Outcome.TIE]
_KNOWN_CHOICE = Q(outcome__in=["left", "right", "tie", "both_bad"])
_STRENGTH_ONLY_WITH_A_SIDE = Q(outcome__in=["left", "right"]) | Q(strength="")


class Turn(models.Model):
    """A message of the labeller, and the two replies that the project's checkpoint gives to it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        """For two replies. Whoever answers claims it by a conditional UPDATE."""
        ANSWERED = "answered"
        """Both replies are there; `outcome` says which was picked, once one was."""
        FAILED = "failed"
        """There are no replies, and `error` says why. The labeller may ask again."""
        DROPPED = "dropped"
        """It waited when its conversation was ended or passed on. It waits again if that is
        undone."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="turns")
    number = models.PositiveSmallIntegerField()
    """From 0. Two new replies to the same message are a turn of their own."""
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    """The conversation up to this message and with it."""
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    """Raised by every claim; who holds an older one can change nothing."""
    claimed_at = models.DateTimeField(null=True)
    """When whoever answers it gave a sign of life last."""
    progress = models.PositiveSmallIntegerField(default=0)
    """How much of the replies is written, in percent."""
    error = models.TextField(blank=True)
    """Why there are no replies and what to do, in a sentence for the labeller."""
    first = models.ForeignKey(Completion, on_delete=models.PROTECT, null=True, related_name="+")
    """The reply that is shown as A. The order was drawn when the replies came."""
    second = models.ForeignKey(Completion, on_delete=models.PROTECT, null=True, related_name="+")
    """The reply that is shown as B."""
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Comparison.Outcome, blank=True)
    strength = models.CharField(max_length=16, choices=Comparison.Strength, blank=True)
    continued_with = models.ForeignKey(
        Completion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    """The reply that the conversation goes on with. After a tie it is A: the order is random."""

    class Meta:
        ordering = ["number", "id"]
        indexes = [
            models.Index(
                fields=["asked_at", "id"], name="turn_waiting", condition=Q(state="waiting")
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "number"],
                condition=~Q(state="dropped"),
                name="turn_asked_once",
            ),
            models.CheckConstraint(
                name="turn_state_known",
                condition=Q(state__in=["waiting", "answered", "failed", "dropped"]),
            ),
            models.CheckConstraint(
                name="turn_answered_with_two_replies",
                condition=Q(state="answered", first__isnull=False, second__isnull=False)
                | (~Q(state="answered") & Q(first__isnull=True, second__isnull=True)),
            ),
            models.CheckConstraint(name="turn_of_two_completions", condition=~Q(first=F("second"))),
            models.CheckConstraint(
                name="turn_failed_with_an_error", condition=~Q(state="failed") | ~Q(error="")
            ),
            models.CheckConstraint(
                name="turn_picked_from_replies",
                condition=Q(outcome="") | (Q(state="answered") & _KNOWN_CHOICE),
            ),
            models.CheckConstraint(
                name="turn_strength_only_with_a_side", condition=_STRENGTH_ONLY_WITH_A_SIDE
            ),
            models.CheckConstraint(
                name="turn_goes_on_with_a_reply",
                condition=Q(outcome__in=_GOES_ON, continued_with__isnull=False)
                | Q(outcome__in=["", "both_bad"], continued_with__isnull=True),
            ),
            models.CheckConstraint(name="turn_progress_up_to_100", condition=Q(progress__lte=100)),
        ]

    def __str__(self) -> str:
        return f"Turn {self.number} of {self.assignment_id} ({self.state})"


class Conversation(models.Model):
    """A conversation that a labeller has ended: the replies that they picked on the way."""

    annotation = models.OneToOneField(Annotation, on_delete=models.PROTECT, primary_key=True)

    def __str__(self) -> str:
        return f"Conversation {self.pk}"


class ConversationChoice(models.Model):
    """Which of the two replies to one message is better, and by how much."""

    conversation = models.ForeignKey(Conversation, on_delete=models.PROTECT, related_name="choices")
    position = models.PositiveSmallIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    """The conversation up to the message that was answered."""
    left = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    """The reply that the labeller saw as A."""
    right = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    """The reply that the labeller saw as B."""
    outcome = models.CharField(max_length=12, choices=Comparison.Outcome)
    strength = models.CharField(max_length=16, choices=Comparison.Strength, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "position"], name="conversation_choice_once"
            ),
            models.CheckConstraint(
                name="conversation_choice_of_two_completions", condition=~Q(left=F("right"))
            ),
            models.CheckConstraint(
                name="conversation_choice_outcome_known", condition=_KNOWN_CHOICE
            ),
            models.CheckConstraint(
                name="conversation_choice_strength_only_with_a_side",
                condition=_STRENGTH_ONLY_WITH_A_SIDE,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.strength}".strip()
