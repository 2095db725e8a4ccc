"""What refers to a table that was made later: between the two apps, and in a circle."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("annotations", "0019_adjudication_and_flags")]

    dependencies = [
        ("annotations", "0001_tables"),
        ("training", "0001_tables"),
    ]

    operations = [
        migrations.AddField(
            model_name="Completion",
            name="checkpoint",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="completions",
                to="training.checkpoint",
            ),
        ),
        migrations.AddField(
            model_name="Item",
            name="subject",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="review_items",
                to="annotations.annotation",
            ),
        ),
        migrations.AddField(
            model_name="Ticket",
            name="fixed_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="training.checkpoint",
            ),
        ),
        migrations.AddField(
            model_name="Battle",
            name="left_checkpoint",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="training.checkpoint",
            ),
        ),
        migrations.AddField(
            model_name="Battle",
            name="right_checkpoint",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="training.checkpoint",
            ),
        ),
        migrations.AddConstraint(
            model_name="Completion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("author__isnull", False), ("origin", "human")),
                    models.Q(("checkpoint__isnull", False), ("origin", "checkpoint")),
                    ("origin", "imported"),
                    _connector="OR",
                ),
                name="completion_origin_has_its_source",
            ),
        ),
        migrations.AddConstraint(
            model_name="Item",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "review"), _negated=True),
                    ("subject__isnull", False),
                    _connector="OR",
                ),
                name="item_review_has_a_subject",
            ),
        ),
        migrations.AddConstraint(
            model_name="Ticket",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("fixed_by__isnull", False), ("state", "fixed")),
                    models.Q(
                        models.Q(("state", "fixed"), _negated=True), ("fixed_by__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="ticket_fixed_by_a_checkpoint",
            ),
        ),
        migrations.AddConstraint(
            model_name="Battle",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("left_checkpoint", models.F("right_checkpoint")), _negated=True
                ),
                name="battle_of_two_checkpoints",
            ),
        ),
    ]
