import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0020_clean_snapshots")]

    operations = [
        migrations.AlterField(
            model_name="run",
            name="stage",
            field=models.CharField(
                choices=[
                    ("sft", "Supervised fine-tuning"),
                    ("reward", "Reward model"),
                    ("ppo", "PPO"),
                    ("dpo", "DPO"),
                    ("kto", "KTO"),
                    ("grpo", "GRPO"),
                    ("rloo", "RLOO"),
                    ("rejection", "Rejection sampling"),
                    ("sample", "Sample completions"),
                    ("export", "Export"),
                    ("suite", "Evaluation suite"),
                    ("replay", "Replay of cases"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="CaseScore",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                ("first", models.FloatField()),
                ("second", models.FloatField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="case_scores",
                        to="training.checkpoint",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="case_scores",
                        to="training.run",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("checkpoint", "digest"), name="case_score_once")
                ],
            },
        ),
    ]
