"""What an answer to an item is worth, which items are asked at random, and how each was drawn."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Random

import annotations.models.items


def draw_lots(apps: Any, schema_editor: Any) -> None:
    """Give every item that is there already a lot of its own."""
    apps.get_model("annotations", "Item").objects.update(lot=Random())


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0009_imports"),
        ("training", "0001_tables"),
    ]

    operations = [
        migrations.CreateModel(
            name="Draw",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "arm",
                    models.CharField(
                        choices=[
                            ("chosen", "Chosen"),
                            ("random", "At random"),
                            ("turn", "In turn"),
                        ],
                        max_length=8,
                    ),
                ),
                ("expected", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="Weighing",
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
                ("weighed", models.PositiveIntegerField()),
                ("at_random", models.PositiveIntegerField()),
                ("left_out", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="project",
            name="project_percents_up_to_100",
        ),
        migrations.AddField(
            model_name="item",
            name="arm",
            field=models.CharField(
                blank=True,
                choices=[("chosen", "Chosen"), ("random", "At random"), ("turn", "In turn")],
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="item",
            name="expected",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="item",
            name="lot",
            field=models.FloatField(default=annotations.models.items.draw_lot),
        ),
        migrations.AddField(
            model_name="item",
            name="worth",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="project",
            name="random_percent",
            field=models.PositiveSmallIntegerField(default=10),
        ),
        migrations.AddField(
            model_name="project",
            name="weighed_kinds",
            field=models.JSONField(blank=True, default=list, editable=False),
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(
                condition=models.Q(("open_slots__gt", 0), ("worth__isnull", False)),
                fields=["project", "kind", "-worth", "id"],
                name="item_worth",
            ),
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(
                condition=models.Q(("open_slots__gt", 0)),
                fields=["project", "kind", "arm", "lot"],
                name="item_lot",
            ),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("gold_percent__lte", 100),
                    ("random_percent__lte", 100),
                    ("review_percent__lte", 100),
                ),
                name="project_percents_up_to_100",
            ),
        ),
        migrations.AddField(
            model_name="draw",
            name="assignment",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="draw",
                to="annotations.assignment",
            ),
        ),
        migrations.AddField(
            model_name="draw",
            name="project",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="draws",
                to="annotations.project",
            ),
        ),
        migrations.AddField(
            model_name="weighing",
            name="model",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="training.checkpoint",
            ),
        ),
        migrations.AddField(
            model_name="weighing",
            name="project",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="weighings",
                to="annotations.project",
            ),
        ),
        migrations.AddIndex(
            model_name="draw",
            index=models.Index(fields=["project", "arm", "-id"], name="draw_arm"),
        ),
        migrations.AddConstraint(
            model_name="draw",
            constraint=models.CheckConstraint(
                condition=models.Q(("arm__in", ["chosen", "random", "turn"])), name="draw_arm_known"
            ),
        ),
        migrations.AddIndex(
            model_name="weighing",
            index=models.Index(fields=["project", "kind", "-id"], name="weighing_newest"),
        ),
        migrations.RunPython(draw_lots, migrations.RunPython.noop),
    ]
