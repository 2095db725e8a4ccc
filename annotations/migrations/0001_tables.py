"""Every table of the app, as of the first version; it stands for the steps before that version."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import annotations.models.projects


class Migration(migrations.Migration):
    replaces = [
        ("annotations", "0001_initial"),
        ("annotations", "0002_relations"),
        ("annotations", "0003_workbench"),
        ("annotations", "0004_fill_fingerprints"),
        ("annotations", "0005_conversations"),
        ("annotations", "0006_correction_drafts"),
        ("annotations", "0007_arena"),
        ("annotations", "0008_tickets"),
        ("annotations", "0009_guideline_drafts"),
        ("annotations", "0010_guidelines_published"),
        ("annotations", "0011_pay"),
        ("annotations", "0013_people"),
        ("annotations", "0014_invitations"),
        ("annotations", "0015_qualification"),
        ("annotations", "0016_recalls"),
        ("annotations", "0017_guideline_cases"),
        ("annotations", "0018_reask"),
    ]

    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                (
                    "last_login",
                    models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                ),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                (
                    "first_name",
                    models.CharField(blank=True, max_length=150, verbose_name="first name"),
                ),
                (
                    "last_name",
                    models.CharField(blank=True, max_length=150, verbose_name="last name"),
                ),
                (
                    "email",
                    models.EmailField(blank=True, max_length=254, verbose_name="email address"),
                ),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                (
                    "date_joined",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="date joined"
                    ),
                ),
                ("keys", models.JSONField(blank=True, default=dict)),
                ("sends_on_choice", models.BooleanField(default=False)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
                "abstract": False,
            },
            managers=[
                ("objects", django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name="Project",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("is_paused", models.BooleanField(default=False)),
                ("comparison_overlap", models.PositiveSmallIntegerField(default=1)),
                ("lease_minutes", models.PositiveSmallIntegerField(default=30)),
                (
                    "skip_policy",
                    models.CharField(
                        choices=[
                            ("others", "To others only"),
                            ("later", "To others, and later back to the one who skipped"),
                        ],
                        default="others",
                        max_length=12,
                    ),
                ),
                ("max_skips", models.PositiveSmallIntegerField(default=0)),
                ("daily_limit", models.PositiveIntegerField(blank=True, null=True)),
                ("total_limit", models.PositiveIntegerField(blank=True, null=True)),
                ("gold_percent", models.PositiveSmallIntegerField(default=0)),
                ("review_percent", models.PositiveSmallIntegerField(default=0)),
                ("review_by_risk", models.BooleanField(default=False)),
                (
                    "adjudicated",
                    models.CharField(
                        choices=[
                            ("instead", "Instead of the votes"),
                            ("beside", "As one more vote"),
                            ("aside", "Not at all"),
                        ],
                        default="instead",
                        max_length=8,
                    ),
                ),
                ("grace_seconds", models.PositiveIntegerField(default=60)),
                ("edits_allowed", models.BooleanField(default=True)),
                ("own_prompts_allowed", models.BooleanField(default=False)),
                ("own_conversations_allowed", models.BooleanField(default=False)),
                ("learns_from_arena", models.BooleanField(default=False)),
                ("shows_agreement", models.BooleanField(default=False)),
                (
                    "rendering",
                    models.CharField(
                        choices=[
                            ("verbatim", "As it is, every line break kept"),
                            ("markdown", "As Markdown"),
                        ],
                        default="verbatim",
                        max_length=12,
                    ),
                ),
                (
                    "counters",
                    models.JSONField(
                        blank=True, default=annotations.models.projects.default_counters
                    ),
                ),
                ("line_syllables", models.JSONField(blank=True, default=list)),
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("comparison_overlap__gte", 1)),
                        name="project_overlap_at_least_one",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("lease_minutes__gte", 1)),
                        name="project_lease_at_least_one",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("gold_percent__lte", 100), ("review_percent__lte", 100)
                        ),
                        name="project_percents_up_to_100",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FlagDecision",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="flag_decisions",
                        to="annotations.project",
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
                    "other",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("detector", models.CharField(max_length=16)),
                ("n", models.PositiveIntegerField()),
                ("evidence", models.TextField()),
                (
                    "verdict",
                    models.CharField(
                        choices=[("dismissed", "Dismissed"), ("paused", "Paused")], max_length=12
                    ),
                ),
                ("reason", models.TextField()),
                (
                    "decided_by",
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="flag_decision_says_why",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GuidelineDraft",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="guideline_drafts",
                        to="annotations.project",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("general", "Every kind of work"),
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("text", models.TextField(blank=True)),
                ("note", models.CharField(blank=True, max_length=300)),
                ("begun_from", models.PositiveIntegerField(default=0)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("saved_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "kind", "author"), name="guideline_draft_once_per_author"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GuidelineVersion",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="guideline_versions",
                        to="annotations.project",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("general", "Every kind of work"),
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("text", models.TextField(blank=True)),
                (
                    "general",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("html", models.TextField(editable=False)),
                ("note", models.CharField(blank=True, max_length=300)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("published_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["kind", "-version"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "kind", "version"), name="guideline_version_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="HeldOut",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="held_out",
                        to="annotations.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="held_out_in",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name_plural": "held out",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("project", "user"),
                        name="held_out_once_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invitations",
                        to="annotations.project",
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("engineer", "Engineer"),
                            ("reviewer", "Reviewer"),
                            ("annotator", "Labeller"),
                        ],
                        max_length=12,
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("uses", models.PositiveSmallIntegerField()),
                ("used", models.PositiveSmallIntegerField(default=0)),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("used__lte", models.F("uses")), ("uses__gte", 1)),
                        name="invitation_used_within_uses",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["engineer", "reviewer", "annotator"])),
                        name="invitation_makes_no_owner",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MemberNote",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="member_notes",
                        to="annotations.project",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="member_notes",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("text", models.TextField()),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("read_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["project", "person", "-id"], name="member_note_of")
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="annotations.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "Owner"),
                            ("engineer", "Engineer"),
                            ("reviewer", "Reviewer"),
                            ("annotator", "Labeller"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("paused", "Paused"),
                            ("resting", "Resting"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("queue_marks", models.JSONField(blank=True, default=dict, editable=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "user"), name="membership_once_per_project"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("role__in", ["owner", "engineer", "reviewer", "annotator"])
                        ),
                        name="membership_role_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PayRate",
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
                        related_name="pay_rates",
                        to="annotations.project",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                ("per_item_micros", models.BigIntegerField(default=0)),
                ("per_hour_micros", models.BigIntegerField(default=0)),
                ("currency", models.CharField(max_length=3)),
                ("starts_at", models.DateTimeField()),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["project", "kind", "-starts_at", "-id"], name="pay_rate_in_force"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("per_hour_micros__gte", 0), ("per_item_micros__gte", 0)
                        ),
                        name="pay_rate_not_negative",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Prompt",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="prompts",
                        to="annotations.project",
                    ),
                ),
                ("messages", models.JSONField()),
                ("text", models.TextField()),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("written", "Written here"),
                            ("imported", "Imported"),
                            ("annotator", "By a labeller"),
                            ("arena", "Asked in the arena"),
                        ],
                        default="written",
                        max_length=12,
                    ),
                ),
                (
                    "style",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("plain", "Any task that comes to mind"),
                            ("few_shot", "An instruction with examples"),
                            ("user", "What a user would ask"),
                        ],
                        max_length=12,
                    ),
                ),
                ("tags", models.JSONField(blank=True, default=list)),
                ("external_id", models.CharField(blank=True, max_length=200)),
                ("content_hash", models.CharField(max_length=64)),
                (
                    "split",
                    models.CharField(
                        choices=[
                            ("train", "Train"),
                            ("validation", "Validation"),
                            ("test", "Test"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "content_hash"), name="prompt_once_per_project"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("split__in", ["train", "validation", "test"])),
                        name="prompt_split_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RatingScheme",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rating_schemes",
                        to="annotations.project",
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("questions", models.JSONField()),
                ("before_ranking", models.BooleanField(default=False)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("published_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "version"), name="rating_scheme_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("published_at__isnull", True)),
                        fields=("project",),
                        name="rating_scheme_one_draft",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TestAttempt",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="test_attempts",
                        to="annotations.project",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="test_attempts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("items", models.JSONField()),
                ("pass_percent", models.PositiveSmallIntegerField()),
                ("right", models.PositiveSmallIntegerField(default=0)),
                ("passed", models.BooleanField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("passed__isnull", True)),
                        fields=("project", "kind", "person"),
                        name="test_attempt_one_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Completion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="completions",
                        to="annotations.prompt",
                    ),
                ),
                ("text", models.TextField()),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("human", "Person"),
                            ("checkpoint", "Checkpoint"),
                            ("imported", "Imported"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "author",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("source_name", models.CharField(blank=True, max_length=200)),
                ("sampling", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Group",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="groups",
                        to="annotations.project",
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                (
                    "members",
                    models.ManyToManyField(
                        blank=True, related_name="groups", to="annotations.membership"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="group_name_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="GuidelineAcknowledgement",
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
                        related_name="acknowledgements",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "guideline_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="acknowledgements",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("user", "guideline_version"), name="acknowledgement_once_per_person"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GuidelineCase",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cases",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("clause", models.CharField(max_length=220)),
                ("title", models.CharField(max_length=200)),
                ("position", models.PositiveSmallIntegerField()),
                ("prompt", models.TextField()),
                ("first", models.TextField()),
                ("second", models.TextField()),
                (
                    "expected",
                    models.CharField(
                        choices=[
                            ("left", "A is better"),
                            ("right", "B is better"),
                            ("tie", "Tie"),
                            ("both_bad", "Both bad"),
                        ],
                        max_length=12,
                    ),
                ),
                ("why", models.TextField(blank=True)),
                ("digest", models.CharField(max_length=64)),
                ("fingerprint", models.CharField(max_length=64)),
                ("conflicts", models.JSONField(default=list)),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "position"), name="guideline_case_once_per_position"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expected__in", ["left", "right", "tie", "both_bad"])),
                        name="guideline_case_outcome_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Reask",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reasks",
                        to="annotations.project",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.guidelineversion",
                    ),
                ),
                (
                    "since",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("clauses", models.JSONField(default=list)),
                ("candidates", models.PositiveIntegerField()),
                ("seed", models.PositiveIntegerField()),
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
            name="Recall",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recalls",
                        to="annotations.project",
                    ),
                ),
                (
                    "annotator",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "guideline_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("batch", models.CharField(blank=True, max_length=64)),
                ("since", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
                ("reason", models.TextField()),
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
                    "lifted_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("lifted_at", models.DateTimeField(null=True)),
                ("lift_reason", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("lifted_at__isnull", True)),
                        fields=["project"],
                        name="recall_in_force",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("annotator__isnull", False),
                            ("guideline_version__isnull", False),
                            models.Q(("batch", ""), _negated=True),
                            ("since__isnull", False),
                            ("until__isnull", False),
                            _connector="OR",
                        ),
                        name="recall_names_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="recall_says_why"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lift_reason", ""),
                                ("lifted_at__isnull", True),
                                ("lifted_by__isnull", True),
                            ),
                            models.Q(
                                ("lifted_at__isnull", False),
                                ("lifted_by__isnull", False),
                                models.Q(("lift_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="recall_lifted_by_somebody_for_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Item",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="annotations.project",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="annotations.prompt",
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("training", "Training"),
                            ("evaluation", "Evaluation"),
                            ("gold", "Gold"),
                            ("arena", "Arena"),
                        ],
                        default="training",
                        max_length=12,
                    ),
                ),
                ("overlap", models.PositiveSmallIntegerField(default=1)),
                ("open_slots", models.PositiveSmallIntegerField(default=1)),
                ("priority", models.SmallIntegerField(default=0)),
                ("fingerprint", models.CharField(blank=True, max_length=64)),
                (
                    "rating_scheme",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="annotations.ratingscheme",
                    ),
                ),
                ("gold", models.JSONField(blank=True, null=True)),
                ("review_chance", models.FloatField(null=True)),
                ("skips", models.PositiveSmallIntegerField(default=0)),
                ("batch", models.CharField(blank=True, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "completions",
                    models.ManyToManyField(
                        blank=True, related_name="items", to="annotations.completion"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("open_slots__gt", 0)),
                        fields=["project", "kind", "-priority", "id"],
                        name="item_queue",
                    ),
                    models.Index(
                        condition=models.Q(("purpose", "gold")),
                        fields=["project", "kind", "id"],
                        name="item_gold",
                    ),
                    models.Index(fields=["project", "batch"], name="item_batch"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("open_slots__lte", models.F("overlap"))),
                        name="item_open_slots_within_overlap",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "demonstration",
                                    "comparison",
                                    "ranking",
                                    "rating",
                                    "rewrite",
                                    "assembly",
                                    "review",
                                    "conversation",
                                ],
                            )
                        ),
                        name="item_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "rating"), _negated=True),
                            ("rating_scheme__isnull", False),
                            _connector="OR",
                        ),
                        name="item_rating_has_questions",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="KindRule",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="kind_rules",
                        to="annotations.project",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rules",
                        to="annotations.group",
                    ),
                ),
                ("is_tested", models.BooleanField(default=False)),
                ("pass_percent", models.PositiveSmallIntegerField(default=75)),
                ("questions", models.PositiveSmallIntegerField(default=10)),
                ("attempts", models.PositiveSmallIntegerField(default=3)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("project", "kind"), name="kind_rule_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("attempts__gte", 1), ("pass_percent__lte", 100), ("questions__gte", 1)
                        ),
                        name="kind_rule_can_be_passed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Assignment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="assignments",
                        to="annotations.item",
                    ),
                ),
                (
                    "annotator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="assignments",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("leased", "Leased"),
                            ("submitted", "Submitted"),
                            ("skipped", "Skipped"),
                            ("expired", "Expired"),
                        ],
                        default="leased",
                        max_length=12,
                    ),
                ),
                ("shown_order", models.JSONField(default=list)),
                ("fingerprint", models.CharField(blank=True, max_length=64)),
                (
                    "guideline_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("leased_at", models.DateTimeField()),
                ("lease_until", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("draft", models.JSONField(blank=True, null=True)),
                ("draft_revision", models.PositiveIntegerField(default=0)),
                ("active_ms", models.PositiveIntegerField(default=0)),
                (
                    "skip_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("unclear", "The prompt is unclear"),
                            ("unsure", "I can't judge this"),
                            ("broken", "Something is broken or empty"),
                            ("harmful", "I'd rather not read this"),
                            ("other", "Something else"),
                        ],
                        max_length=12,
                    ),
                ),
                ("skip_note", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "leased")),
                        fields=["lease_until"],
                        name="assignment_expiry",
                    ),
                    models.Index(
                        condition=models.Q(("state", "leased")),
                        fields=["annotator"],
                        name="assignment_held",
                    ),
                    models.Index(fields=["annotator", "-closed_at"], name="assignment_history"),
                    models.Index(fields=["annotator", "fingerprint"], name="assignment_questions"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("item", "annotator"), name="assignment_once_per_person"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "skipped"), _negated=True),
                            models.Q(("skip_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="assignment_skip_has_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PracticeItem",
            fields=[
                (
                    "item",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="practice",
                        serialize=False,
                        to="annotations.item",
                    ),
                ),
                ("why", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="ScreeningAnswer",
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
                        related_name="screening_answers",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="screening_answers",
                        to="annotations.item",
                    ),
                ),
                (
                    "attempt",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="answers",
                        to="annotations.testattempt",
                    ),
                ),
                ("better", models.JSONField()),
                ("is_right", models.BooleanField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("attempt__isnull", False)),
                        fields=("attempt", "item"),
                        name="screening_answer_once_in_a_test",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("attempt__isnull", True)),
                        fields=("person", "item"),
                        name="screening_answer_once_in_practice",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Ticket",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tickets",
                        to="annotations.project",
                    ),
                ),
                (
                    "completion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="ticket",
                        to="annotations.completion",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("repeats", "It repeats itself"),
                            ("off_topic", "It does not do what was asked"),
                            ("form", "It has the wrong form or length"),
                            ("false", "It says what is not true"),
                            ("harmful", "It is harmful or offensive"),
                            ("broken", "It is empty or breaks off"),
                            ("other", "Something else"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("rewriting", "Waits for a rewrite"),
                            ("rewritten", "Waits for a checkpoint"),
                            ("fixed", "Fixed"),
                            ("dismissed", "Dismissed"),
                        ],
                        default="open",
                        max_length=12,
                    ),
                ),
                (
                    "item",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="ticket",
                        to="annotations.item",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["project", "state", "-id"], name="ticket_list")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["open", "rewriting", "rewritten", "fixed", "dismissed"])
                        ),
                        name="ticket_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("state__in", ["rewriting", "rewritten", "fixed"]), _negated=True
                            ),
                            ("item__isnull", False),
                            _connector="OR",
                        ),
                        name="ticket_rewrite_has_its_item",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Annotation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="annotations",
                        to="annotations.item",
                    ),
                ),
                (
                    "annotator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="annotations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "assignment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="annotations",
                        to="annotations.assignment",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("demonstration", "Write"),
                            ("comparison", "Compare"),
                            ("ranking", "Rank"),
                            ("rating", "Rate"),
                            ("rewrite", "Rewrite"),
                            ("assembly", "Assemble"),
                            ("review", "Review"),
                            ("conversation", "Converse"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "guideline_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="annotations",
                        to="annotations.guidelineversion",
                    ),
                ),
                ("shown_order", models.JSONField(default=list)),
                ("reason", models.TextField(blank=True)),
                (
                    "supersedes",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="superseded_by",
                        to="annotations.annotation",
                    ),
                ),
                ("surplus", models.BooleanField(default=False)),
                ("wall_ms", models.PositiveIntegerField(null=True)),
                ("active_ms", models.PositiveIntegerField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("supersedes__isnull", True)),
                        fields=("item", "annotator"),
                        name="annotation_once_per_person",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "demonstration",
                                    "comparison",
                                    "ranking",
                                    "rating",
                                    "rewrite",
                                    "assembly",
                                    "review",
                                    "conversation",
                                ],
                            )
                        ),
                        name="annotation_kind_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AssignmentEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "assignment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="annotations.assignment",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("leased", "Handed out"),
                            ("drafted", "Draft begun"),
                            ("submitted", "Handed in"),
                            ("undone", "Taken back"),
                            ("corrected", "Corrected"),
                            ("skipped", "Skipped"),
                            ("expired", "Lease ran out"),
                        ],
                        max_length=12,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Battle",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="battles",
                        to="annotations.project",
                    ),
                ),
                (
                    "voter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="battles",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.prompt",
                    ),
                ),
                (
                    "previous",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="followed_by",
                        to="annotations.battle",
                    ),
                ),
                ("generations", models.JSONField(blank=True, default=list)),
                ("read_at", models.DateTimeField(null=True)),
                (
                    "left",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "right",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("writing", "Writing"),
                            ("answered", "Answered"),
                            ("failed", "Failed"),
                        ],
                        default="writing",
                        max_length=12,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("marks", models.JSONField(blank=True, default=list)),
                (
                    "assignment",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="battle",
                        to="annotations.assignment",
                    ),
                ),
                ("asked_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["project", "voter", "-id"], name="battle_of_voter"),
                    models.Index(fields=["voter", "prompt"], name="battle_asked_again"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["writing", "answered", "failed"])),
                        name="battle_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("left__isnull", False),
                                ("right__isnull", False),
                                ("state", "answered"),
                            ),
                            models.Q(
                                models.Q(("state", "answered"), _negated=True),
                                ("left__isnull", True),
                                ("right__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="battle_answered_by_both",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "failed"), _negated=True),
                            models.Q(("error", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="battle_failed_with_an_error",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("assignment__isnull", True), ("state", "answered"), _connector="OR"
                        ),
                        name="battle_vote_on_answers",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RegressionCase",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "ticket",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="case",
                        to="annotations.ticket",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("pattern", "A pattern that no answer may have"),
                            ("rubric", "Rules that every answer must keep"),
                            ("reward", "The reward model must not prefer the rewrite"),
                        ],
                        max_length=12,
                    ),
                ),
                ("parameters", models.JSONField(default=dict)),
                ("answers", models.PositiveSmallIntegerField(default=4)),
                ("version", models.PositiveIntegerField(default=1)),
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["pattern", "rubric", "reward"])),
                        name="regression_case_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("answers__gte", 1), ("answers__lte", 16)),
                        name="regression_case_has_answers",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TicketEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "ticket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="annotations.ticket",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("opened", "Opened"),
                            ("sent", "Rewrite asked for"),
                            ("check", "Check changed"),
                            ("rewritten", "Rewritten"),
                            ("taken_back", "Rewrite taken back"),
                            ("fixed", "Fixed"),
                            ("came_back", "Came back"),
                            ("dismissed", "Dismissed"),
                            ("reopened", "Taken up again"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("words", models.CharField(blank=True, max_length=1000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="TicketReport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "ticket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reports",
                        to="annotations.ticket",
                    ),
                ),
                (
                    "reporter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("repeats", "It repeats itself"),
                            ("off_topic", "It does not do what was asked"),
                            ("form", "It has the wrong form or length"),
                            ("false", "It says what is not true"),
                            ("harmful", "It is harmful or offensive"),
                            ("broken", "It is empty or breaks off"),
                            ("other", "Something else"),
                        ],
                        max_length=12,
                    ),
                ),
                ("words", models.CharField(blank=True, max_length=500)),
                (
                    "source",
                    models.CharField(
                        choices=[("queue", "Queue"), ("chat", "Chat"), ("arena", "Arena")],
                        max_length=12,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
                "indexes": [
                    models.Index(fields=["reporter", "-created_at"], name="ticket_report_recent")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("ticket", "reporter"), name="ticket_report_once_per_person"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "assignment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="turns",
                        to="annotations.assignment",
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.prompt",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("answered", "Answered"),
                            ("failed", "Failed"),
                            ("dropped", "Dropped"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("attempt", models.PositiveIntegerField(default=0)),
                ("claimed_at", models.DateTimeField(null=True)),
                ("progress", models.PositiveSmallIntegerField(default=0)),
                ("error", models.TextField(blank=True)),
                (
                    "first",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "second",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                ("asked_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("left", "A is better"),
                            ("right", "B is better"),
                            ("tie", "Tie"),
                            ("both_bad", "Both bad"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "strength",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("significantly", "Significantly better"),
                            ("better", "Better"),
                            ("slightly", "Slightly better"),
                            ("negligibly", "Negligibly better"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "continued_with",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
            ],
            options={
                "ordering": ["number", "id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["asked_at", "id"],
                        name="turn_waiting",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "dropped"), _negated=True),
                        fields=("assignment", "number"),
                        name="turn_asked_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["waiting", "answered", "failed", "dropped"])
                        ),
                        name="turn_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("first__isnull", False),
                                ("second__isnull", False),
                                ("state", "answered"),
                            ),
                            models.Q(
                                models.Q(("state", "answered"), _negated=True),
                                ("first__isnull", True),
                                ("second__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="turn_answered_with_two_replies",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("first", models.F("second")), _negated=True),
                        name="turn_of_two_completions",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "failed"), _negated=True),
                            models.Q(("error", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="turn_failed_with_an_error",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome", ""),
                            models.Q(
                                ("state", "answered"),
                                ("outcome__in", ["left", "right", "tie", "both_bad"]),
                            ),
                            _connector="OR",
                        ),
                        name="turn_picked_from_replies",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["left", "right"]), ("strength", ""), _connector="OR"
                        ),
                        name="turn_strength_only_with_a_side",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("continued_with__isnull", False),
                                ("outcome__in", ["left", "right", "tie"]),
                            ),
                            models.Q(
                                ("continued_with__isnull", True), ("outcome__in", ["", "both_bad"])
                            ),
                            _connector="OR",
                        ),
                        name="turn_goes_on_with_a_reply",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("progress__lte", 100)), name="turn_progress_up_to_100"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Adjudication",
            fields=[
                (
                    "reference",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="adjudication",
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjudications",
                        to="annotations.item",
                    ),
                ),
                ("open_bits", models.FloatField()),
            ],
        ),
        migrations.CreateModel(
            name="Assembly",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "completion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "assemblies",
            },
        ),
        migrations.CreateModel(
            name="Comparison",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "left",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "right",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("left", "A is better"),
                            ("right", "B is better"),
                            ("tie", "Tie"),
                            ("both_bad", "Both bad"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "strength",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("significantly", "Significantly better"),
                            ("better", "Better"),
                            ("slightly", "Slightly better"),
                            ("negligibly", "Negligibly better"),
                        ],
                        max_length=16,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("left", models.F("right")), _negated=True),
                        name="comparison_of_two_completions",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("outcome__in", ["left", "right", "tie", "both_bad"])),
                        name="comparison_outcome_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["left", "right"]), ("strength", ""), _connector="OR"
                        ),
                        name="comparison_strength_only_with_a_side",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Conversation",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CorrectionDraft",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="correction_draft",
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                ("fields", models.JSONField()),
                ("revision", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Demonstration",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "completion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PayEntry",
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
                        related_name="pay_entries",
                        to="annotations.project",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pay_entries",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("work", "Work"),
                            ("reversal", "Reversal"),
                            ("adjustment", "Adjustment"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "annotation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pay_entries",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "rate",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="annotations.payrate",
                    ),
                ),
                (
                    "reverses",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversed_by",
                        to="annotations.payentry",
                    ),
                ),
                ("active_ms", models.IntegerField(default=0)),
                ("amount_micros", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reason", models.CharField(blank=True, max_length=300)),
                (
                    "made_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("key", models.UUIDField(null=True, unique=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "verbose_name_plural": "pay entries",
                "indexes": [
                    models.Index(fields=["project", "created_at"], name="pay_entry_period"),
                    models.Index(
                        fields=["person", "project", "created_at"], name="pay_entry_statement"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("source", "work")),
                        fields=("annotation",),
                        name="pay_entry_once_per_annotation",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("annotation__isnull", False),
                                ("reverses__isnull", True),
                                ("source", "work"),
                            ),
                            models.Q(
                                ("annotation__isnull", False),
                                ("reverses__isnull", False),
                                ("source", "reversal"),
                            ),
                            models.Q(
                                ("annotation__isnull", True),
                                ("made_by__isnull", False),
                                ("source", "adjustment"),
                                models.Q(("reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="pay_entry_says_what_for",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Ranking",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Rating",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "scheme",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.ratingscheme",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReaskedItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "reask",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="annotations.reask",
                    ),
                ),
                (
                    "item",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reasked",
                        to="annotations.item",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "arm",
                    models.CharField(
                        choices=[("chosen", "Chosen"), ("control", "At random")], max_length=8
                    ),
                ),
                ("score", models.FloatField()),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(fields=("reask", "source"), name="reasked_once"),
                    models.CheckConstraint(
                        condition=models.Q(("arm__in", ["chosen", "control"])),
                        name="reasked_arm_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Retraction",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "subject",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "decision",
                    models.CharField(
                        choices=[("accept", "Accept"), ("fix", "Fix"), ("reject", "Reject")],
                        max_length=12,
                    ),
                ),
                (
                    "completion",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("decision__in", ["accept", "fix", "reject"])),
                        name="review_decision_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("completion__isnull", False), ("decision", "fix")),
                            models.Q(
                                models.Q(("decision", "fix"), _negated=True),
                                ("completion__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="review_fix_has_its_text",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Rewrite",
            fields=[
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="annotations.annotation",
                    ),
                ),
                (
                    "original",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "completion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("original", models.F("completion")), _negated=True),
                        name="rewrite_is_another_completion",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AssemblyPart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "assembly",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parts",
                        to="annotations.assembly",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                ("start", models.PositiveIntegerField()),
                ("end", models.PositiveIntegerField()),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("assembly", "position"), name="assembly_part_once_per_position"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("start__lt", models.F("end"))),
                        name="assembly_part_not_empty",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ConversationChoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="choices",
                        to="annotations.conversation",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.prompt",
                    ),
                ),
                (
                    "left",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "right",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("left", "A is better"),
                            ("right", "B is better"),
                            ("tie", "Tie"),
                            ("both_bad", "Both bad"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "strength",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("significantly", "Significantly better"),
                            ("better", "Better"),
                            ("slightly", "Slightly better"),
                            ("negligibly", "Negligibly better"),
                        ],
                        max_length=16,
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("conversation", "position"), name="conversation_choice_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("left", models.F("right")), _negated=True),
                        name="conversation_choice_of_two_completions",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("outcome__in", ["left", "right", "tie", "both_bad"])),
                        name="conversation_choice_outcome_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["left", "right"]), ("strength", ""), _connector="OR"
                        ),
                        name="conversation_choice_strength_only_with_a_side",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RankedCompletion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "ranking",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="annotations.ranking",
                    ),
                ),
                (
                    "completion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                ("tier", models.PositiveSmallIntegerField()),
            ],
            options={
                "ordering": ["tier", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("ranking", "completion"), name="ranked_completion_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RatingAnswer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "rating",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="answers",
                        to="annotations.rating",
                    ),
                ),
                (
                    "completion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.completion",
                    ),
                ),
                ("question", models.CharField(max_length=50)),
                ("value", models.SmallIntegerField()),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("rating", "completion", "question"), name="rating_answer_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("value__gte", 0), ("value__lte", 100)),
                        name="rating_answer_not_negative",
                    ),
                ],
            },
        ),
    ]
