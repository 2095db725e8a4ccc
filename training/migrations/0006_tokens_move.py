"""Tokens belong to people, not to training: `annotations` 0011 takes them over as they are."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("training", "0005_stage_weigh")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name="ApiToken")]
        ),
    ]
