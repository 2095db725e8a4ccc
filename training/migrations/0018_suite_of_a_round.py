import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0017_chats")]

    operations = [
        migrations.AddField(
            model_name="round",
            name="suite_run",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="training.run",
            ),
        ),
    ]
