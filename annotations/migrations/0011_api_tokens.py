"""Tokens of programs get scopes and live here; what was answered under a key is kept."""

from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import annotations.models.api_tokens

CREATE = migrations.CreateModel(
    name="ApiToken",
    fields=[
        (
            "id",
            models.BigAutoField(
                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
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
        (
            "user",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="api_tokens",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ],
    options={"ordering": ["-id"], "db_table": "training_apitoken"},
)


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0010_what_to_ask_next"),
        ("training", "0006_tokens_move"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[CREATE]),
        migrations.AlterModelTable(name="apitoken", table=None),
        migrations.AddField(
            model_name="apitoken",
            name="scopes",
            field=models.JSONField(default=annotations.models.api_tokens.default_scopes),
        ),
        migrations.CreateModel(
            name="ApiAnswer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=255)),
                ("digest", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField()),
                ("body", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "token",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="answers",
                        to="annotations.apitoken",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["created_at"], name="api_answer_age")],
                "constraints": [
                    models.UniqueConstraint(fields=("token", "key"), name="api_answer_once_per_key")
                ],
            },
        ),
    ]
