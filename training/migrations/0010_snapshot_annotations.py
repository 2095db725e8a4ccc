from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

BATCH = 5000


def link(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Link every snapshot that was there before with its annotations, in batches."""
    links = apps.get_model("training", "SnapshotAnnotation")
    snapshots = apps.get_model("training", "DatasetSnapshot").objects.order_by("id")
    annotations = apps.get_model("annotations", "Annotation").objects
    for snapshot in snapshots.only("annotation_ids").iterator(chunk_size=1):
        ids = sorted(set(snapshot.annotation_ids))
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            known = annotations.filter(id__gte=batch[0], id__lte=batch[-1])
            there = set(known.values_list("id", flat=True))
            links.objects.bulk_create(
                links(snapshot=snapshot, annotation_id=one) for one in batch if one in there
            )


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0006_correction_drafts"),
        ("training", "0009_api_tokens"),
    ]

    operations = [
        migrations.CreateModel(
            name="SnapshotAnnotation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "annotation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "snapshot",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="links",
                        to="training.datasetsnapshot",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("snapshot", "annotation"), name="annotation_once_per_snapshot"
                    )
                ]
            },
        ),
        migrations.RunPython(link, migrations.RunPython.noop),
    ]
