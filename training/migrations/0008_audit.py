from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def record_earlier_promotions(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Write down what was promoted before there was a log, at its time."""
    entries = apps.get_model("training", "AuditEntry").objects
    promotions = apps.get_model("training", "Promotion").objects.select_related("checkpoint")
    for promotion in promotions.order_by("id").iterator(chunk_size=500):
        entry = entries.create(
            project_id=promotion.project_id,
            user_id=promotion.promoted_by_id,
            action="promoted",
            subject_kind="checkpoint",
            subject_id=promotion.checkpoint_id,
            subject_name=promotion.checkpoint.name,
            reason=promotion.reason or "No reason was given.",
            facts=promotion.evidence,
        )
        entries.filter(pk=entry.pk).update(created_at=promotion.created_at)


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0006_correction_drafts"),
        ("training", "0007_run_remedy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("action", models.CharField(max_length=40)),
                ("subject_kind", models.CharField(max_length=40)),
                ("subject_id", models.BigIntegerField()),
                ("subject_name", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("facts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="audit_entries",
                        to="annotations.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["project", "-id"], name="audit_of_project"),
                    models.Index(fields=["subject_kind", "subject_id"], name="audit_of_subject"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="audit_says_why"
                    )
                ],
            },
        ),
        migrations.RunPython(record_earlier_promotions, migrations.RunPython.noop),
    ]
