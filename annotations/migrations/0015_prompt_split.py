"""An index that counts the prompts of each split without reading them."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0014_evaluation_guidelines"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="prompt",
            index=models.Index(fields=["project", "split"], name="prompt_split"),
        ),
    ]
