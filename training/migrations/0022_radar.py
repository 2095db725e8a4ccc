import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0021_case_scores"),
    ]

    operations = [
        migrations.CreateModel(
            name="RadarLook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                ("distance", models.FloatField()),
                ("kl", models.FloatField()),
                ("step", models.PositiveIntegerField()),
                ("answers", models.JSONField()),
                ("batch", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="radar_looks",
                        to="training.run",
                    ),
                ),
            ],
            options={
                "ordering": ["run", "number"],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "number"), name="radar_look_once")
                ],
            },
        ),
    ]
