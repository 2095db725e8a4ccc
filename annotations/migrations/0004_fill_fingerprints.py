"""Give every item that was there before the fingerprint of its question, in batches."""

from django.db import migrations

from annotations.algorithms.fingerprints import fingerprint_of

BATCH = 500


def fill(apps, schema_editor):
    items = apps.get_model("annotations", "Item").objects.filter(fingerprint="")
    assignments = apps.get_model("annotations", "Assignment").objects
    last = 0
    while True:
        batch = list(
            items.filter(id__gt=last)
            .order_by("id")
            .select_related("prompt")
            .prefetch_related("completions")[:BATCH]
        )
        if not batch:
            return
        for item in batch:
            texts = [completion.text for completion in item.completions.all()]
            item.fingerprint = fingerprint_of(item.kind, item.prompt.messages, texts)
        items.model.objects.bulk_update(batch, ["fingerprint"])
        for item in batch:
            assignments.filter(item_id=item.pk).update(fingerprint=item.fingerprint)
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("annotations", "0003_workbench")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
