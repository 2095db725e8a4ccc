"""A correction that is begun knows whose it is: to find it must not take a look at every answer."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def tell_whose(apps: Any, schema_editor: Any) -> None:
    """Fill the column of the drafts that are there already: few, as they go when they are sent."""
    answers = apps.get_model("annotations", "Annotation").objects.filter(pk=OuterRef("pk"))
    apps.get_model("annotations", "CorrectionDraft").objects.filter(annotator=None).update(
        annotator=Subquery(answers.values("annotator"))
    )


class Migration(migrations.Migration):
    dependencies = [("annotations", "0011_api_tokens")]

    operations = [
        migrations.AddField(
            model_name="correctiondraft",
            name="annotator",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunPython(tell_whose, migrations.RunPython.noop, elidable=True),
    ]
