import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotations", "0016_recalls")]

    operations = [
        migrations.CreateModel(
            name="GuidelineCase",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("clause", models.CharField(max_length=220)),
                ("title", models.CharField(max_length=200)),
                ("position", models.PositiveSmallIntegerField()),
                ("prompt", models.TextField()),
                ("first", models.TextField()),
                ("second", models.TextField()),
                (
                    "expected",
                    models.CharField(
                        choices=[
                            ("left", "A is better"),
                            ("right", "B is better"),
                            ("tie", "Tie"),
                            ("both_bad", "Both bad"),
                        ],
                        max_length=12,
                    ),
                ),
                ("why", models.TextField(blank=True)),
                ("digest", models.CharField(max_length=64)),
                ("fingerprint", models.CharField(max_length=64)),
                ("conflicts", models.JSONField(default=list)),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cases",
                        to="annotations.guidelineversion",
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "position"), name="guideline_case_once_per_position"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expected__in", ["left", "right", "tie", "both_bad"])),
                        name="guideline_case_outcome_known",
                    ),
                ],
            },
        ),
    ]
