"""Every table of the app, as of the first version; it stands for the steps before that version."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("training", "0001_initial"),
        ("training", "0002_times_lost"),
        ("training", "0003_phase_counts"),
        ("training", "0004_export_stage"),
        ("training", "0005_more_trainers"),
        ("training", "0006_run_priority"),
        ("training", "0007_run_remedy"),
        ("training", "0008_audit"),
        ("training", "0009_api_tokens"),
        ("training", "0010_snapshot_annotations"),
        ("training", "0011_suite_stage"),
        ("training", "0012_gate"),
        ("training", "0013_rounds"),
        ("training", "0014_arena"),
        ("training", "0015_regressions"),
        ("training", "0016_endpoints"),
        ("training", "0017_chats"),
        ("training", "0018_suite_of_a_round"),
        ("training", "0019_praise"),
        ("training", "0020_clean_snapshots"),
        ("training", "0021_case_scores"),
        ("training", "0022_radar"),
    ]

    initial = True

    dependencies = [
        ("annotations", "0001_tables"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("prefix", models.CharField(max_length=12)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
                ("last_used_at", models.DateTimeField(null=True)),
                ("projects", models.ManyToManyField(related_name="+", to="annotations.project")),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="audit_entries",
                        to="annotations.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("action", models.CharField(max_length=40)),
                ("subject_kind", models.CharField(max_length=40)),
                ("subject_id", models.BigIntegerField()),
                ("subject_name", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("facts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["project", "-id"], name="audit_of_project"),
                    models.Index(fields=["subject_kind", "subject_id"], name="audit_of_subject"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="audit_says_why"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Automation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="automation",
                        to="annotations.project",
                    ),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("off", "Off: a round runs when somebody says so"),
                            ("until", "On, until a person must decide"),
                            ("promoting", "On, promotion included"),
                        ],
                        default="off",
                        max_length=12,
                    ),
                ),
                ("new_comparisons", models.PositiveIntegerField(default=200)),
                (
                    "settings_from",
                    models.CharField(
                        choices=[
                            ("last", "The last round's runs"),
                            ("quick", "The preset “Quick check”"),
                            ("haiku", "The preset “Haiku on a laptop”"),
                            ("careful", "The preset “Careful”"),
                        ],
                        default="last",
                        max_length=12,
                    ),
                ),
                (
                    "changed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("changed_at", models.DateTimeField(auto_now=True)),
                ("acting_since", models.DateTimeField(null=True)),
                ("asks", models.TextField(blank=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("mode__in", ["off", "until", "promoting"])),
                        name="automation_mode_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("new_comparisons__gte", 1)),
                        name="automation_asks_for_comparisons",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checkpoints",
                        to="annotations.project",
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("base", "Base model"),
                            ("policy", "Policy"),
                            ("reward", "Reward model"),
                            ("external", "External endpoint"),
                        ],
                        max_length=8,
                    ),
                ),
                ("path", models.CharField(max_length=500)),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="training.checkpoint",
                    ),
                ),
                ("manifest", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name"), name="checkpoint_name_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "base"), ("parent__isnull", True)),
                            models.Q(("kind", "base"), _negated=True),
                            _connector="OR",
                        ),
                        name="checkpoint_base_has_no_parent",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DatasetSnapshot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="snapshots",
                        to="annotations.project",
                    ),
                ),
                (
                    "content",
                    models.CharField(
                        choices=[
                            ("demonstrations", "Demonstrations (for sft)"),
                            ("preferences", "Preferences (for reward, dpo)"),
                            ("judgements", "Good and bad completions (for kto)"),
                            ("prompts", "Prompts (for ppo, grpo, rloo, rejection)"),
                        ],
                        max_length=16,
                    ),
                ),
                ("filters", models.JSONField(default=dict)),
                ("seed", models.BigIntegerField(default=0)),
                ("counts", models.JSONField()),
                ("annotation_ids", models.JSONField()),
                ("sha256", models.CharField(max_length=64)),
                (
                    "replaces",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="replacements",
                        to="training.datasetsnapshot",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Gate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="gate",
                        to="annotations.project",
                    ),
                ),
                ("least_rate", models.FloatField(default=0.5)),
                ("least_votes", models.PositiveIntegerField(default=0)),
                ("least_voters", models.PositiveSmallIntegerField(default=1)),
                ("largest_kl", models.FloatField(null=True)),
                (
                    "changed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("least_rate__gte", 0.5), ("least_rate__lt", 1)),
                        name="gate_asks_for_no_less_than_half",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("largest_kl__isnull", True), ("largest_kl__gt", 0), _connector="OR"
                        ),
                        name="gate_kl_is_positive",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Arena",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="arena",
                        serialize=False,
                        to="annotations.project",
                    ),
                ),
                ("is_open", models.BooleanField(default=False)),
                ("daily_limit", models.PositiveIntegerField(default=50)),
                (
                    "checkpoints",
                    models.ManyToManyField(
                        blank=True, related_name="arenas", to="training.checkpoint"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("daily_limit__gte", 1)),
                        name="arena_daily_limit_at_least_one",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Chat",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="chats",
                        to="annotations.project",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="chats",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("title", models.CharField(max_length=100)),
                (
                    "left",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "right",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.checkpoint",
                    ),
                ),
                ("temperature", models.FloatField()),
                ("top_p", models.FloatField()),
                ("max_new_tokens", models.PositiveIntegerField()),
                ("seed", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("said_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-said_at", "-id"],
                "indexes": [
                    models.Index(fields=["project", "person", "-said_at"], name="chat_history")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("right__isnull", True),
                            models.Q(("right", models.F("left")), _negated=True),
                            _connector="OR",
                        ),
                        name="chat_side_by_side_differs",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "checkpoint",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="endpoint",
                        to="training.checkpoint",
                    ),
                ),
                ("url", models.CharField(max_length=500)),
                ("model", models.CharField(max_length=200)),
                ("encrypted_key", models.TextField(blank=True)),
                ("timeout_s", models.PositiveIntegerField(default=60)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "try_state",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "never tried"),
                            ("asked", "Asked"),
                            ("answered", "Answered"),
                            ("failed", "Failed"),
                        ],
                        max_length=8,
                    ),
                ),
                ("try_text", models.TextField(blank=True)),
                ("tried_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("timeout_s__gte", 1), ("timeout_s__lte", 600)),
                        name="endpoint_timeout_sane",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Promotion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promotions",
                        to="annotations.project",
                    ),
                ),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promotions",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "promoted_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("reason", models.TextField()),
                ("evidence", models.JSONField(default=dict)),
                (
                    "restores",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="restored_by",
                        to="training.promotion",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="annotations.project",
                    ),
                ),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("sft", "Supervised fine-tuning"),
                            ("reward", "Reward model"),
                            ("ppo", "PPO"),
                            ("dpo", "DPO"),
                            ("kto", "KTO"),
                            ("grpo", "GRPO"),
                            ("rloo", "RLOO"),
                            ("rejection", "Rejection sampling"),
                            ("sample", "Sample completions"),
                            ("export", "Export"),
                            ("suite", "Evaluation suite"),
                            ("replay", "Replay of cases"),
                        ],
                        max_length=16,
                    ),
                ),
                ("config", models.JSONField()),
                (
                    "snapshot",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="training.datasetsnapshot",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs_from",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "reward_checkpoint",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs_scored",
                        to="training.checkpoint",
                    ),
                ),
                ("request", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=12,
                    ),
                ),
                (
                    "priority",
                    models.SmallIntegerField(
                        choices=[(-1, "Low"), (0, "Normal"), (1, "High")], default=0
                    ),
                ),
                ("attempt", models.PositiveIntegerField(default=0)),
                ("times_lost", models.PositiveIntegerField(default=0)),
                ("device", models.CharField(blank=True, max_length=120)),
                ("first_step", models.PositiveIntegerField(default=0)),
                ("first_step_at", models.DateTimeField(null=True)),
                ("step", models.PositiveIntegerField(default=0)),
                ("total_steps", models.PositiveIntegerField(default=0)),
                ("phase", models.CharField(blank=True, max_length=100)),
                ("phase_unit", models.CharField(blank=True, max_length=20)),
                ("phase_done", models.PositiveIntegerField(default=0)),
                ("phase_total", models.PositiveIntegerField(default=0)),
                ("log_tail", models.TextField(blank=True)),
                ("samples", models.JSONField(default=list)),
                ("results", models.JSONField(default=dict)),
                ("error", models.TextField(blank=True)),
                ("error_detail", models.TextField(blank=True)),
                ("remedy", models.JSONField(default=dict)),
                ("cancel_requested_at", models.DateTimeField(null=True)),
                ("hinted_at", models.DateTimeField(null=True)),
                (
                    "started_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("heartbeat_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state"],
                        name="run_alive",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["queued", "running", "succeeded", "failed", "cancelled"])
                        ),
                        name="run_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__in", [-1, 0, 1])), name="run_priority_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["queued", "running"]),
                            ("ended_at__isnull", False),
                            _connector="OR",
                        ),
                        name="run_terminal_has_end",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "failed"), _negated=True),
                            models.Q(("error", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="run_failed_has_error",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("total_steps", 0),
                            ("step__lte", models.F("total_steps")),
                            _connector="OR",
                        ),
                        name="run_steps_within_total",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("state", "running"), models.Q(("device", ""), _negated=True)
                        ),
                        fields=("device",),
                        name="run_one_running_per_device",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SnapshotAnnotation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "snapshot",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="links",
                        to="training.datasetsnapshot",
                    ),
                ),
                (
                    "annotation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.annotation",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("snapshot", "annotation"), name="annotation_once_per_snapshot"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CaseScore",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="case_scores",
                        to="training.checkpoint",
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                ("first", models.FloatField()),
                ("second", models.FloatField()),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="case_scores",
                        to="training.run",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("checkpoint", "digest"), name="case_score_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="ChatMessage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "chat",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="messages",
                        to="training.chat",
                    ),
                ),
                ("turn", models.PositiveIntegerField()),
                (
                    "role",
                    models.CharField(
                        choices=[("user", "User"), ("assistant", "Assistant")], max_length=9
                    ),
                ),
                (
                    "side",
                    models.CharField(
                        blank=True, choices=[("left", "Left"), ("right", "Right")], max_length=5
                    ),
                ),
                (
                    "checkpoint",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="chat_replies",
                        to="training.checkpoint",
                    ),
                ),
                ("text", models.TextField(blank=True)),
                ("is_current", models.BooleanField(default=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("writing", "Writing"),
                            ("done", "Done"),
                            ("stopped", "Stopped"),
                            ("failed", "Failed"),
                        ],
                        default="done",
                        max_length=8,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("stop_asked", models.BooleanField(default=False)),
                ("generation", models.CharField(blank=True, max_length=64)),
                ("sampling", models.JSONField(default=dict)),
                ("seed", models.BigIntegerField(null=True)),
                ("tokens", models.PositiveIntegerField(null=True)),
                ("finish_reason", models.CharField(blank=True, max_length=20)),
                ("seconds", models.FloatField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["turn", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("checkpoint__isnull", True), ("role", "user"), ("side", "")),
                            models.Q(
                                ("checkpoint__isnull", False),
                                ("role", "assistant"),
                                ("side__in", ["left", "right"]),
                            ),
                            _connector="OR",
                        ),
                        name="chat_message_reply_has_checkpoint",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["waiting", "writing", "done", "stopped", "failed"])
                        ),
                        name="chat_message_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "failed"), _negated=True),
                            models.Q(("error", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="chat_message_failed_has_error",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_current", True)),
                        fields=("chat", "turn", "side"),
                        name="chat_message_current_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Evaluation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluations",
                        to="annotations.project",
                    ),
                ),
                (
                    "child",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluations",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluation",
                        to="training.run",
                    ),
                ),
                ("batch", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("child", models.F("parent")), _negated=True),
                        name="evaluation_of_two_checkpoints",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Metric",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metrics",
                        to="training.run",
                    ),
                ),
                ("step", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=64)),
                ("value", models.FloatField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "name", "step"), name="metric_once_per_step"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RadarLook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="radar_looks",
                        to="training.run",
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                ("distance", models.FloatField()),
                ("kl", models.FloatField()),
                ("step", models.PositiveIntegerField()),
                ("answers", models.JSONField()),
                ("batch", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["run", "number"],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "number"), name="radar_look_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="RegressionResult",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="regression_results",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="results",
                        to="annotations.regressioncase",
                    ),
                ),
                ("case_version", models.PositiveIntegerField()),
                ("passed", models.BooleanField()),
                ("text", models.TextField()),
                ("answers", models.JSONField(default=list)),
                (
                    "run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="regression_results",
                        to="training.run",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "checkpoint", "case"), name="regression_result_once_per_run"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Praise",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reply",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="praise",
                        to="training.chatmessage",
                    ),
                ),
                (
                    "completion",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="praises",
                        to="annotations.completion",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("completion__isnull", True), ("reply__isnull", False)),
                            models.Q(("completion__isnull", False), ("reply__isnull", True)),
                            _connector="OR",
                        ),
                        name="praise_of_one_answer",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("completion__isnull", False)),
                        fields=("person", "completion"),
                        name="praise_once_per_person",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Round",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rounds",
                        to="annotations.project",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "sample_run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.run",
                    ),
                ),
                (
                    "reward_run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.run",
                    ),
                ),
                (
                    "policy_run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.run",
                    ),
                ),
                (
                    "suite_run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.run",
                    ),
                ),
                (
                    "evaluation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.evaluation",
                    ),
                ),
                (
                    "promotion",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="round",
                        to="training.promotion",
                    ),
                ),
                ("decision", models.TextField(blank=True)),
                (
                    "driven_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("skipped", models.JSONField(default=list)),
                ("halted_act", models.CharField(blank=True, max_length=12)),
                ("halted_because", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-number"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "number"), name="round_number_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("project",),
                        name="round_one_open_per_project",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="Checkpoint",
            name="run",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="checkpoint",
                to="training.run",
            ),
        ),
        migrations.AddConstraint(
            model_name="Checkpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "external"), _negated=True),
                    models.Q(("parent__isnull", True), ("run__isnull", True)),
                    _connector="OR",
                ),
                name="checkpoint_external_has_no_parent",
            ),
        ),
    ]
