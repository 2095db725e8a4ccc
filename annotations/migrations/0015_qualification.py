"""Groups of members, rules for kinds of work, practice and tests."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

KINDS = [
    ("demonstration", "Write"),
    ("comparison", "Compare"),
    ("ranking", "Rank"),
    ("rating", "Rate"),
    ("rewrite", "Rewrite"),
    ("assembly", "Assemble"),
    ("review", "Review"),
    ("conversation", "Converse"),
]


def key() -> tuple[str, models.Field]:
    return (
        "id",
        models.BigAutoField(
            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
        ),
    )


def project(related_name: str) -> tuple[str, models.Field]:
    return (
        "project",
        models.ForeignKey(
            on_delete=django.db.models.deletion.CASCADE,
            related_name=related_name,
            to="annotations.project",
        ),
    )


def person(related_name: str) -> tuple[str, models.Field]:
    return (
        "person",
        models.ForeignKey(
            on_delete=django.db.models.deletion.PROTECT,
            related_name=related_name,
            to=settings.AUTH_USER_MODEL,
        ),
    )


class Migration(migrations.Migration):
    dependencies = [("annotations", "0014_invitations")]

    operations = [
        migrations.CreateModel(
            name="Group",
            fields=[
                key(),
                ("name", models.CharField(max_length=60)),
                (
                    "members",
                    models.ManyToManyField(
                        blank=True, related_name="groups", to="annotations.membership"
                    ),
                ),
                project("groups"),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="group_name_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="KindRule",
            fields=[
                key(),
                ("kind", models.CharField(choices=KINDS, max_length=16)),
                ("is_tested", models.BooleanField(default=False)),
                ("pass_percent", models.PositiveSmallIntegerField(default=75)),
                ("questions", models.PositiveSmallIntegerField(default=10)),
                ("attempts", models.PositiveSmallIntegerField(default=3)),
                (
                    "group",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rules",
                        to="annotations.group",
                    ),
                ),
                project("kind_rules"),
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
            name="TestAttempt",
            fields=[
                key(),
                ("kind", models.CharField(choices=KINDS, max_length=16)),
                ("items", models.JSONField()),
                ("pass_percent", models.PositiveSmallIntegerField()),
                ("right", models.PositiveSmallIntegerField(default=0)),
                ("passed", models.BooleanField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished_at", models.DateTimeField(null=True)),
                person("test_attempts"),
                project("test_attempts"),
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
            name="ScreeningAnswer",
            fields=[
                key(),
                ("better", models.JSONField()),
                ("is_right", models.BooleanField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "attempt",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="answers",
                        to="annotations.testattempt",
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
                person("screening_answers"),
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
    ]
