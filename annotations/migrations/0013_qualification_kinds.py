"""Tests of every kind of work: shares of what is right, verdicts, and what is decided by hand.

Old processes go on: the column of answers keeps its name, and the new columns may be null.
"""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0012_correction_drafts"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="screeninganswer",
                    name="better",
                    field=models.JSONField(db_column="better"),
                ),
                migrations.RenameField(
                    model_name="screeninganswer", old_name="better", new_name="said"
                ),
            ],
        ),
        migrations.AddField(
            model_name="screeninganswer",
            name="score",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="testattempt",
            name="score",
            field=models.FloatField(null=True),
        ),
        migrations.CreateModel(
            name="KindDecision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
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
                ("is_granted", models.BooleanField()),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="kind_decisions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="kind_decisions",
                        to="annotations.project",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("project", "person", "kind"),
                        name="kind_decision_one_in_force",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="kind_decision_says_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TestVerdict",
            fields=[
                (
                    "answer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="verdict",
                        serialize=False,
                        to="annotations.screeninganswer",
                    ),
                ),
                ("passes", models.BooleanField()),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "judged_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="test_verdict_says_why",
                    )
                ],
            },
        ),
    ]
