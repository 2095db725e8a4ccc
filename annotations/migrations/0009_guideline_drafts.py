import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Max

PARTS = [
    ("general", "Every kind of work"),
    ("demonstration", "Write"),
    ("comparison", "Compare"),
    ("ranking", "Rank"),
    ("rating", "Rate"),
    ("rewrite", "Rewrite"),
    ("assembly", "Assemble"),
    ("review", "Review"),
    ("conversation", "Converse"),
]


def move_drafts(apps, schema_editor):
    """Make a draft of every version that was not published: nobody ever worked by one."""
    versions = apps.get_model("annotations", "GuidelineVersion").objects
    drafts = apps.get_model("annotations", "GuidelineDraft").objects
    for draft in versions.filter(published_at__isnull=True):
        published = versions.filter(
            project=draft.project_id, kind=draft.kind, published_at__isnull=False
        )
        drafts.create(
            project_id=draft.project_id,
            kind=draft.kind,
            author_id=draft.created_by_id,
            text=draft.text,
            begun_from=published.aggregate(newest=Max("version"))["newest"] or 0,
        )
    versions.filter(published_at__isnull=True).delete()


class Migration(migrations.Migration):
    dependencies = [("annotations", "0008_tickets")]

    operations = [
        migrations.CreateModel(
            name="GuidelineDraft",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(choices=PARTS, max_length=16)),
                ("text", models.TextField(blank=True)),
                ("note", models.CharField(blank=True, max_length=300)),
                ("begun_from", models.PositiveIntegerField(default=0)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("saved_at", models.DateTimeField(auto_now=True)),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="guideline_drafts",
                        to="annotations.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "kind", "author"), name="guideline_draft_once_per_author"
                    )
                ],
            },
        ),
        migrations.RunPython(move_drafts, migrations.RunPython.noop),
    ]
