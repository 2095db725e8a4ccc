"""Who may do which kind of work: members of a group, or those who passed its test.

Answers to practice and tests are kept here and nowhere else: they are no annotations, so no model
ever learns from them.
"""

from __future__ import annotations

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
    """A gold item that people practise with: after each answer they see the known one, and why."""

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
    passed = models.BooleanField(null=True)
    """Null while it goes on."""
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

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
    better: models.JSONField[int | str, int | str] = models.JSONField()
    """The completion that was found better, or that none was."""
    is_right = models.BooleanField()
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
