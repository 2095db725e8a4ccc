"""Who may do which kind of work: members of a group, those who passed its test, or by hand.

Answers to practice and tests are kept here and nowhere else: they are no annotations, so no model
ever learns from them.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotations.models.items import Item
from annotations.models.projects import Kind, Membership, Project

PASS_PERCENT = 75
"""As InstructGPT screened its labellers (arXiv:2203.02155, appendix B.1)."""


class Group(models.Model):
    """Some of the members, under a name."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=60)
    members = models.ManyToManyField(Membership, related_name="groups", blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="group_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class KindRule(models.Model):
    """Whom the queue hands one kind of work. Without a rule: every member."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="kind_rules")
    kind = models.CharField(max_length=16, choices=Kind)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, null=True, related_name="rules")
    """Null: all groups."""
    is_tested = models.BooleanField(default=False)
    pass_percent = models.PositiveSmallIntegerField(default=PASS_PERCENT)
    questions = models.PositiveSmallIntegerField(default=10)
    attempts = models.PositiveSmallIntegerField(default=3)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "kind"], name="kind_rule_once"),
            models.CheckConstraint(
                name="kind_rule_can_be_passed",
                condition=Q(pass_percent__lte=100, questions__gte=1, attempts__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return f"Rule of {self.project_id} for {self.kind}"


class PracticeItem(models.Model):
    """A gold item that people practise with: after each answer they see the known one, and why.

    Of what people write the known answer is an example of a good one.
    """

    item = models.OneToOneField(
        Item, on_delete=models.CASCADE, primary_key=True, related_name="practice"
    )
    why = models.TextField()

    def __str__(self) -> str:
        return f"Practice with {self.item_id}"


class TestAttempt(models.Model):
    """One go of one person at the test of a kind."""

    __test__ = False  # for pytest, which takes the name for one of its own

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="test_attempts")
    kind = models.CharField(max_length=16, choices=Kind)
    person = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="test_attempts"
    )
    items: models.JSONField[list[int], list[int]] = models.JSONField()
    """Which gold items are asked, in this order."""
    pass_percent = models.PositiveSmallIntegerField()
    right = models.PositiveSmallIntegerField(default=0)
    """Answers that are right in all they say, or that an owner has passed."""
    score = models.FloatField(null=True)
    """The mean share that is right, from 0 to 1, once it is decided; null where `right` says it."""
    passed = models.BooleanField(null=True)
    """Null while it goes on, and while what was written waits for an owner."""
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    """When the last question was answered."""

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "person"],
                condition=Q(passed__isnull=True),
                name="test_attempt_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"Test of {self.person_id}: {self.kind}"

    @property
    def is_waiting(self) -> bool:
        """Say whether all is answered, and an owner is to judge it."""
        return self.passed is None and self.finished_at is not None

    @property
    def percent(self) -> int:
        """Return how much was right, rounded down: 75 is never shown for less."""
        share = self.right / len(self.items) if self.score is None else self.score
        return int(round(100 * share, 6))


class ScreeningAnswer(models.Model):
    """What a person said about a gold item, in practice or in a test."""

    person = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="screening_answers"
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="screening_answers")
    attempt = models.ForeignKey(
        TestAttempt, on_delete=models.CASCADE, null=True, related_name="answers"
    )
    """Null: in practice."""
    said: models.JSONField[Any, Any] = models.JSONField(db_column="better")
    """The completion that was found better or that none was; the tiers, by completions; the points,
    by completion and question; or the text."""
    is_right = models.BooleanField()
    """In all that it says. A text is right once an owner has passed it."""
    score = models.FloatField(null=True)
    """Of a ranking or a rating, the share that is as known; null where `is_right` says it all."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["attempt", "item"],
                condition=Q(attempt__isnull=False),
                name="screening_answer_once_in_a_test",
            ),
            models.UniqueConstraint(
                fields=["person", "item"],
                condition=Q(attempt__isnull=True),
                name="screening_answer_once_in_practice",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} on {self.item_id}"

    @property
    def share(self) -> float:
        """Return how much of it is right, from 0 to 1."""
        return float(self.is_right) if self.score is None else self.score


class TestVerdict(models.Model):
    """What an owner says of a text that was written in a test, without knowing whose it is."""

    __test__ = False

    answer = models.OneToOneField(
        ScreeningAnswer, on_delete=models.CASCADE, primary_key=True, related_name="verdict"
    )
    passes = models.BooleanField()
    reason = models.TextField()
    """The person reads it once all of the test is judged."""
    judged_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(name="test_verdict_says_why", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{'Passes' if self.passes else 'Fails'} {self.answer_id}"


class KindDecision(models.Model):
    """What an owner decided by hand: that a person may do a kind of work, or may not.

    It goes before every rule until it ends, with another decision or by leaving it to the rules.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="kind_decisions")
    kind = models.CharField(max_length=16, choices=Kind)
    person = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="kind_decisions"
    )
    is_granted = models.BooleanField()
    reason = models.TextField()
    """The person reads it."""
    made_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person", "kind"],
                condition=Q(ended_at__isnull=True),
                name="kind_decision_one_in_force",
            ),
            models.CheckConstraint(name="kind_decision_says_why", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"Qualification of person {self.person_id} for “{self.get_kind_display()}”"
