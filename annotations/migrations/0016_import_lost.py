"""How many workers an import has lost in one place."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0015_prompt_split"),
    ]

    operations = [
        migrations.AddField(
            model_name="import",
            name="lost",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
