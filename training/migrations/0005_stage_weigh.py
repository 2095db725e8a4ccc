"""One more stage: what answers to open items would teach a reward model."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0004_audit_is_never_changed"),
    ]

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
                    ("weigh", "Worth of open items"),
                ],
                max_length=16,
            ),
        ),
    ]
