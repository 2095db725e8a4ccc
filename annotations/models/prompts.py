"""What is asked, and what was answered."""

from __future__ import annotations

from typing import TypedDict

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop

from annotations.models.projects import Project


class Message(TypedDict):
    """One turn of a conversation, as TRL's conversational formats have it."""

    role: str
    content: str


class Split(models.TextChoices):
    TRAIN = "train", "Train"
    VALIDATION = "validation", "Validation"
    TEST = "test", "Test"


class Prompt(models.Model):
    """The messages that a completion answers."""

    class Origin(models.TextChoices):
        WRITTEN = "written", "Written here"
        IMPORTED = "imported", "Imported"
        ANNOTATOR = "annotator", "By a labeller"
        ARENA = "arena", "Asked in the arena"

    class Style(models.TextChoices):
        """What kind of prompt a labeller wrote (InstructGPT, arXiv:2203.02155, appendix A.1)."""

        PLAIN = "plain", gettext_noop("Any task that comes to mind")
        FEW_SHOT = "few_shot", gettext_noop("An instruction with examples")
        USER = "user", gettext_noop("What a user would ask")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    messages: models.JSONField[list[Message], list[Message]] = models.JSONField()
    text = models.TextField()
    """The last user turn, for pages and searches."""
    origin = models.CharField(max_length=12, choices=Origin, default=Origin.WRITTEN)
    style = models.CharField(max_length=12, choices=Style, blank=True)
    tags: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    content_hash = models.CharField(max_length=64)
    """SHA-256 of the canonical JSON of `messages`."""
    split = models.CharField(max_length=12, choices=Split)
    """Decided by `content_hash` alone, so that a prompt never changes sides. What is said later in
    a conversation goes with the prompt that it began with."""
    created_by = models.ForeignKey(
        "annotations.User", on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "split"], name="prompt_split")]
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
