from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0005_more_trainers")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="priority",
            field=models.SmallIntegerField(
                choices=[(-1, "Low"), (0, "Normal"), (1, "High")], default=0
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__in", [-1, 0, 1])), name="run_priority_known"
            ),
        ),
    ]
