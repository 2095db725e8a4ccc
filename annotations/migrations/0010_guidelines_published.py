import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotations", "0009_guideline_drafts")]

    operations = [
        migrations.RemoveConstraint(
            model_name="guidelineversion", name="guideline_one_draft_per_kind"
        ),
        migrations.AddField(
            model_name="guidelineversion",
            name="general",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="annotations.guidelineversion",
            ),
        ),
        migrations.AddField(
            model_name="guidelineversion",
            name="note",
            field=models.CharField(blank=True, max_length=300),
        ),
        migrations.AlterField(
            model_name="guidelineversion",
            name="kind",
            field=models.CharField(
                choices=[
                    ("general", "Every kind of work"),
                    ("demonstration", "Write"),
                    ("comparison", "Compare"),
                    ("ranking", "Rank"),
                    ("rating", "Rate"),
                    ("rewrite", "Rewrite"),
                    ("assembly", "Assemble"),
                    ("review", "Review"),
                    ("conversation", "Converse"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="guidelineversion", name="text", field=models.TextField(blank=True)
        ),
        migrations.AlterField(
            model_name="guidelineversion",
            name="published_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
    ]
