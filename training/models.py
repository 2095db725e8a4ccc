"""The nouns of training: frozen data, runs on it, and the checkpoints that come out."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q


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


class DatasetSnapshot(models.Model):
    """Rows frozen from a project's annotations. Immutable; its hash is its content."""

    class Content(models.TextChoices):
        DEMONSTRATIONS = "demonstrations", "Demonstrations (for sft)"
        PREFERENCES = "preferences", "Preferences (for reward, dpo)"
        JUDGEMENTS = "judgements", "Good and bad completions (for kto)"
        PROMPTS = "prompts", "Prompts (for ppo, grpo, rloo, rejection)"

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="snapshots"
    )
    content = models.CharField(max_length=16, choices=Content)
    filters: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    counts: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    """Rows and prompts per split, annotations, annotators, ties, what was left out and why."""
    annotation_ids: models.JSONField[list[int], list[int]] = models.JSONField()
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Snapshot {self.pk}"


class Checkpoint(models.Model):
    """A base model, an adapter on one, or a model of its own, whole in the artifact store."""

    class Kind(models.TextChoices):
        BASE = "base", "Base model"
        POLICY = "policy", "Policy"
        REWARD = "reward", "Reward model"

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="checkpoints"
    )
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=Kind)
    path = models.CharField(max_length=500)
    """Of a base: the model's folder. Of what a run made: its folder below ARTIFACTS_URL."""
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    run = models.OneToOneField(
        "training.Run", on_delete=models.PROTECT, null=True, related_name="checkpoint"
    )
    manifest: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """Copy of manifest.json: file hashes, snapshot hash, config, seed, code version, metrics."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="checkpoint_name_once"),
            models.CheckConstraint(
                name="checkpoint_base_has_no_parent",
                condition=Q(kind="base", parent__isnull=True) | ~Q(kind="base"),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def stands_alone(self) -> bool:
        """Return whether it has weights of its own: a base, or what full fine-tuning made."""
        return self.kind == self.Kind.BASE or self.manifest.get("weights") == "full"


class Promotion(models.Model):
    """The record of which checkpoint samples for a project, since when, by whom and why.

    The newest row of a project is in force.
    """

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="promotions"
    )
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="promotions")
    promoted_by = models.ForeignKey("annotations.User", on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    evidence: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    """The win rate with interval and n at the moment of promotion, if there was one."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.checkpoint} promoted"


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


class Round(models.Model):
    """One turn of the loop in a project."""

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="rounds"
    )
    number = models.PositiveIntegerField()
    policy = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    """The checkpoint that was promoted when the round began; it answers the prompts."""
    sample_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    reward_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    policy_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    evaluation = models.ForeignKey(
        "training.Evaluation", on_delete=models.PROTECT, null=True, related_name="+"
    )
    promotion = models.OneToOneField(
        Promotion, on_delete=models.PROTECT, null=True, related_name="round"
    )
    decision = models.TextField(blank=True)
    """Why the round ended as it did: promoted, or kept back with the reason."""
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(ended_at__isnull=True),
                name="round_one_open_per_project",
            ),
        ]

    def __str__(self) -> str:
        return f"Round {self.number}"


class Evaluation(models.Model):
    """A blind comparison of a child with its parent on held-out prompts.

    Its figures are computed from the annotations on the items of `batch` when they are read.
    """

    project = models.ForeignKey(
        "annotations.Project", on_delete=models.PROTECT, related_name="evaluations"
    )
    child = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="evaluations")
    parent = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="evaluation")
    """The sample run in which both answered the held-out prompts."""
    batch = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="evaluation_of_two_checkpoints", condition=~Q(child=F("parent"))
            )
        ]

    def __str__(self) -> str:
        return f"{self.child} against {self.parent}"
