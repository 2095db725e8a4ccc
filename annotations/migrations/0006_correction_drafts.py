import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotations", "0005_conversations")]

    operations = [
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
    ]
