"""Battles: a question that somebody asks, and the two anonymous answers that they choose between.

A battle ends in a vote, which is an annotation like any other: a comparison of two completions of
one prompt. The battle beside it keeps who was to answer, and what speaks against counting the vote.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop

from annotations.models.items import Assignment
from annotations.models.projects import Project
from annotations.models.prompts import Completion, Prompt


class Battle(models.Model):
    """Two checkpoints answer one question, and whoever asked says which answer is better."""

    class State(models.TextChoices):
        WRITING = "writing"
        """Both answers are being written."""
        ANSWERED = "answered"
        """Both answers are kept. Whether there is a vote, its annotation says."""
        FAILED = "failed"
        """An answer did not come, and `error` says why. There is no vote."""

    class Mark(models.TextChoices):
        """Why a leaderboard may leave a battle out. Nothing is lost by a mark."""

        ASKS_WHO = "asks_who", gettext_noop("the question asks who answers")
        NAMES_MODEL = "names_model", gettext_noop("an answer says who wrote it")
        EMPTY_ANSWER = "empty_answer", gettext_noop("an answer is empty")
        ERROR_TEXT = "error_text", gettext_noop("an answer is an error message")
        EQUAL_ANSWERS = "equal_answers", gettext_noop("both answers say the same")
        DUPLICATE = "duplicate", gettext_noop("the same question was asked and voted on before")
        AFTER_REVEAL = (
            "after_reveal",
            gettext_noop("the vote was given again after the names were shown"),
        )
        FAILED = "failed", gettext_noop("an answer did not come")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="battles")
    voter = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="battles")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    """What was said so far, up to the question and with it."""
    previous = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="followed_by"
    )
    """The battle whose better answer the conversation went on with."""
    left_checkpoint = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, related_name="+"
    )
    """Who writes the answer that is shown as A. The order was drawn with the pair."""
    right_checkpoint = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, related_name="+"
    )
    """Who writes the answer that is shown as B."""
    generations: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    """What names the two answers while they are written, where they are written: A's, then B's."""
    read_at = models.DateTimeField(null=True)
    """When somebody was seen to read them. What nobody reads is not written to its end."""
    left = models.ForeignKey(Completion, on_delete=models.PROTECT, null=True, related_name="+")
    right = models.ForeignKey(Completion, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.WRITING)
    error = models.TextField(blank=True)
    """Why there is no vote and what to do, in a sentence for whoever asked."""
    marks: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    """Of `Mark`, sorted, each once."""
    assignment = models.OneToOneField(
        Assignment, on_delete=models.PROTECT, null=True, related_name="battle"
    )
    """Made with the first vote. From then on the names are known to the voter."""
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "voter", "-id"], name="battle_of_voter"),
            models.Index(fields=["voter", "prompt"], name="battle_asked_again"),
        ]
        constraints = [
            models.CheckConstraint(
                name="battle_of_two_checkpoints",
                condition=~Q(left_checkpoint=F("right_checkpoint")),
            ),
            models.CheckConstraint(
                name="battle_state_known", condition=Q(state__in=["writing", "answered", "failed"])
            ),
            models.CheckConstraint(
                name="battle_answered_by_both",
                condition=Q(state="answered", left__isnull=False, right__isnull=False)
                | (~Q(state="answered") & Q(left__isnull=True, right__isnull=True)),
            ),
            models.CheckConstraint(
                name="battle_failed_with_an_error", condition=~Q(state="failed") | ~Q(error="")
            ),
            models.CheckConstraint(
                name="battle_vote_on_answers",
                condition=Q(assignment__isnull=True) | Q(state="answered"),
            ),
        ]

    def __str__(self) -> str:
        return f"Battle {self.pk} ({self.state})"
