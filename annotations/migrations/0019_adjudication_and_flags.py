import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0018_reask"),
    ]

    operations = [
        migrations.AddField(
            model_name="item",
            name="review_chance",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="project",
            name="adjudicated",
            field=models.CharField(
                choices=[
                    ("instead", "Instead of the votes"),
                    ("beside", "As one more vote"),
                    ("aside", "Not at all"),
                ],
                default="instead",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="review_by_risk",
            field=models.BooleanField(default=False),
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
                ("open_bits", models.FloatField()),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjudications",
                        to="annotations.item",
                    ),
                ),
            ],
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
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "decided_by",
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
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
    ]
