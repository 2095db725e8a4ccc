from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0003_phase_counts"),
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
                    ("sample", "Sample completions"),
                    ("export", "Export"),
                ],
                max_length=8,
            ),
        ),
    ]
