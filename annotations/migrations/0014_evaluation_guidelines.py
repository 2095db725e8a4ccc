"""Guidelines for evaluations: another choice, of which the database knows nothing."""

from __future__ import annotations

from django.db import migrations, models

PARTS = [
    ("general", "Every kind of work"),
    ("demonstration", "Write"),
    ("comparison", "Compare"),
    ("ranking", "Rank"),
    ("rating", "Rate"),
    ("rewrite", "Rewrite"),
    ("assembly", "Assemble"),
    ("review", "Review"),
    ("conversation", "Converse"),
    ("evaluation", "Final evaluation"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0013_qualification_kinds"),
    ]

    operations = [
        migrations.AlterField(
            model_name=name,
            name="kind",
            field=models.CharField(choices=PARTS, max_length=16),
        )
        for name in ("guidelinedraft", "guidelineversion")
    ]
