from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0006_run_priority")]

    operations = [
        migrations.AddField(model_name="run", name="remedy", field=models.JSONField(default=dict)),
    ]
