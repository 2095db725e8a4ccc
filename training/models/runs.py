"""Runs of a stage, and their figures."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from training.models.checkpoints import Checkpoint
from training.models.snapshots import DatasetSnapshot


class Stage(models.TextChoices):
    """What a run does. Each stage has one config dataclass and one file in the pipeline."""

    SFT = "sft", "Supervised fine-tuning"
    REWARD = "reward", "Reward model"
    PPO = "ppo", "PPO"
    DPO = "dpo", "DPO"
    KTO = "kto", "KTO"
    GRPO = "grpo", "GRPO"
    RLOO = "rloo", "RLOO"
    REJECTION = "rejection", "Rejection sampling"
    SAMPLE = "sample", "Sample completions"
    EXPORT = "export", "Export"
    SUITE = "suite", "Evaluation suite"
    REPLAY = "replay", "Replay of cases"
    WEIGH = "weigh", "Worth of open items"


class Run(models.Model):
    """One attempt after another at one stage, until it ends in a terminal state.

    Only `training.lifecycle` changes `state`; every write while running carries `attempt`.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        """Waiting for a worker. The row is the queue; a Celery message is only a hint."""
        RUNNING = "running"
        """Claimed by one worker under the current `attempt`; its child stamps `heartbeat_at`."""
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Priority(models.IntegerChoices):
        """Who goes first among those that wait; of equal ones, who came first."""

        LOW = -1
        NORMAL = 0
        HIGH = 1

    TERMINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    MAX_TIMES_LOST = 3

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="runs"
    )
    stage = models.CharField(max_length=16, choices=Stage)
    config: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    """The fields of the stage's config dataclass that a person chooses (no paths)."""
    snapshot = models.ForeignKey(
        DatasetSnapshot, on_delete=models.PROTECT, null=True, related_name="runs"
    )
    parent = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="runs_from")
    """The checkpoint that this run starts from (or samples)."""
    reward_checkpoint = models.ForeignKey(
        Checkpoint, on_delete=models.PROTECT, null=True, related_name="runs_scored"
    )
    """The reward model, of a run whose stage needs one."""
    request: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """Of a sample run: prompt ids and what to make of the completions."""
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)
    attempt = models.PositiveIntegerField(default=0)
    """Rises with every claim and fences the writes of earlier ones; no measure of trouble."""
    times_lost = models.PositiveIntegerField(default=0)
    """How often it was taken back unplanned: a worker or child that died. A worker that is told to
    stop gives its run back, which does not count."""
    device = models.CharField(max_length=120, blank=True)
    """What the attempt occupies while it runs (`host/training`); one running run for each."""
    first_step = models.PositiveIntegerField(default=0)
    """The step at which this attempt began to count: more than 0 after a resume."""
    first_step_at = models.DateTimeField(null=True)
    """When this attempt reported `first_step`; the time left is reckoned from here."""
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    phase = models.CharField(max_length=100, blank=True)
    """What the child is doing now, in words: `loading the model`, `training`."""
    phase_unit = models.CharField(max_length=20, blank=True)
    """What the phase counts: `step` counts the run's steps, `token` or `batch` what follows here,
    nothing where nobody can tell how far the phase is."""
    phase_done = models.PositiveIntegerField(default=0)
    phase_total = models.PositiveIntegerField(default=0)
    log_tail = models.TextField(blank=True)
    samples: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list
    )
    """`[{prompt, before, after}]`, on a few held-out prompts; a stage that writes at the same
    prompts while it learns adds `steps`, `[{step, text}]`."""
    results: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """What the child reported when it was done: final metrics with intervals and counts."""
    error = models.TextField(blank=True)
    """What happened and what to do, in words an engineer can act on."""
    error_detail = models.TextField(blank=True)
    remedy: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """Of a failed run: settings that would mend it, where the cure lies in settings."""
    cancel_requested_at = models.DateTimeField(null=True)
    hinted_at = models.DateTimeField(null=True)
    """When a Celery hint was last sent for this row while it was queued."""
    started_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["state"], name="run_alive", condition=Q(state__in=["queued", "running"])
            )
        ]
        constraints = [
            models.CheckConstraint(
                name="run_state_known",
                condition=Q(state__in=["queued", "running", "succeeded", "failed", "cancelled"]),
            ),
            models.CheckConstraint(name="run_priority_known", condition=Q(priority__in=[-1, 0, 1])),
            models.CheckConstraint(
                name="run_terminal_has_end",
                condition=Q(state__in=["queued", "running"]) | Q(ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="run_failed_has_error", condition=~Q(state="failed") | ~Q(error="")
            ),
            models.CheckConstraint(
                name="run_steps_within_total",
                condition=Q(total_steps=0) | Q(step__lte=F("total_steps")),
            ),
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(state="running") & ~Q(device=""),
                name="run_one_running_per_device",
            ),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk} ({self.stage})"


class Metric(models.Model):
    """One number of one step of one run, named as TRL logs it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    name = models.CharField(max_length=64)
    value = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "step"], name="metric_once_per_step"),
        ]

    def __str__(self) -> str:
        return f"{self.name}={self.value:g} at {self.step}"
