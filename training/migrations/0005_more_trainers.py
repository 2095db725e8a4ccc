from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0004_export_stage"),
    ]

    operations = [
        migrations.AlterField(
            model_name="datasetsnapshot",
            name="content",
            field=models.CharField(
                choices=[
                    ("demonstrations", "Demonstrations (for sft)"),
                    ("preferences", "Preferences (for reward, dpo)"),
                    ("judgements", "Good and bad completions (for kto)"),
                    ("prompts", "Prompts (for ppo, grpo, rloo, rejection)"),
                ],
                max_length=16,
            ),
        ),
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
                ],
                max_length=16,
            ),
        ),
    ]
