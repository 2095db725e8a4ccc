from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0010_snapshot_annotations")]

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
                ],
                max_length=16,
            ),
        ),
    ]
