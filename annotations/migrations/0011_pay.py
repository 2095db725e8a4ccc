"""The ledger of pay, what is in it from earlier hourly rates, and triggers that keep it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

TABLES = ("annotations_payrate", "annotations_payentry")
REFUSAL = "What was paid is never changed: write another entry."
CHUNK = 2000

KINDS = [
    ("demonstration", "Write"),
    ("comparison", "Compare"),
    ("ranking", "Rank"),
    ("rating", "Rate"),
    ("rewrite", "Rewrite"),
    ("assembly", "Assemble"),
    ("review", "Review"),
    ("conversation", "Converse"),
]


def refusals(vendor: str) -> Iterator[str]:
    """Yield the statements that let the database refuse to change or delete rates and entries."""
    if vendor == "postgresql":
        yield (
            "CREATE OR REPLACE FUNCTION annotations_refuse_change() RETURNS trigger AS $$ "
            f"BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$ LANGUAGE plpgsql"
        )
    for table in TABLES:
        for act in ("UPDATE", "DELETE"):
            yield _trigger(vendor, f"{table}_no_{act.lower()}", act, table)


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in refusals(schema_editor.connection.vendor):
        schema_editor.execute(statement)


def _trigger(vendor: str, name: str, act: str, table: str) -> str:
    if vendor == "postgresql":
        return (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE {act} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION annotations_refuse_change()"
        )
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {act} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )


def unguard(apps: Any, schema_editor: Any) -> None:
    on_table = schema_editor.connection.vendor == "postgresql"
    for table in TABLES:
        for act in ("update", "delete"):
            where = f" ON {table}" if on_table else ""
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{act}{where}")
    if on_table:
        schema_editor.execute("DROP FUNCTION IF EXISTS annotations_refuse_change")


def pay_what_was_earned(apps: Any, schema_editor: Any) -> None:
    """Write an entry for every answer that an hourly rate was paid for until now."""
    rates = apps.get_model("annotations", "PayRate").objects
    entry = apps.get_model("annotations", "PayEntry")
    annotations = apps.get_model("annotations", "Annotation").objects
    for project in apps.get_model("annotations", "Project").objects.filter(
        hourly_pay__isnull=False
    ):
        rate = rates.create(
            project=project,
            per_hour_micros=int(project.hourly_pay * 1_000_000),
            currency=project.currency,
            starts_at=project.created_at,
            created_by_id=project.created_by_id,
        )
        answers = annotations.filter(
            item__project=project,
            assignment__state="submitted",
            superseded_by__isnull=True,
            retraction__isnull=True,
        ).exclude(item__purpose="arena")
        rows = answers.order_by("id").values_list(
            "id", "annotator_id", "assignment__active_ms", "created_at"
        )
        batch = []
        for annotation, person, active, made_at in rows.iterator(chunk_size=CHUNK):
            # To the nearest millionth, a half up: as algorithms.pay has it.
            amount = (2 * active * rate.per_hour_micros + 3_600_000) // 7_200_000
            batch.append(
                entry(
                    project=project,
                    person_id=person,
                    source="work",
                    annotation_id=annotation,
                    rate=rate,
                    active_ms=active,
                    amount_micros=amount,
                    currency=rate.currency,
                    created_at=made_at,
                )
            )
            if len(batch) == CHUNK:
                entry.objects.bulk_create(batch)
                batch = []
        entry.objects.bulk_create(batch)


class Migration(migrations.Migration):
    dependencies = [("annotations", "0010_guidelines_published")]

    operations = [
        migrations.CreateModel(
            name="PayRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(blank=True, choices=KINDS, max_length=16)),
                ("per_item_micros", models.BigIntegerField(default=0)),
                ("per_hour_micros", models.BigIntegerField(default=0)),
                ("currency", models.CharField(max_length=3)),
                ("starts_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pay_rates",
                        to="annotations.project",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["project", "kind", "-starts_at", "-id"], name="pay_rate_in_force"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("per_hour_micros__gte", 0), ("per_item_micros__gte", 0)
                        ),
                        name="pay_rate_not_negative",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PayEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("work", "Work"),
                            ("reversal", "Reversal"),
                            ("adjustment", "Adjustment"),
                        ],
                        max_length=12,
                    ),
                ),
                ("active_ms", models.IntegerField(default=0)),
                ("amount_micros", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("key", models.UUIDField(null=True, unique=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "annotation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pay_entries",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pay_entries",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pay_entries",
                        to="annotations.project",
                    ),
                ),
                (
                    "rate",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="annotations.payrate",
                    ),
                ),
                (
                    "reverses",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversed_by",
                        to="annotations.payentry",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "pay entries",
                "indexes": [
                    models.Index(fields=["project", "created_at"], name="pay_entry_period"),
                    models.Index(
                        fields=["person", "project", "created_at"], name="pay_entry_statement"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("source", "work")),
                        fields=("annotation",),
                        name="pay_entry_once_per_annotation",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("annotation__isnull", False),
                                ("reverses__isnull", True),
                                ("source", "work"),
                            ),
                            models.Q(
                                ("annotation__isnull", False),
                                ("reverses__isnull", False),
                                ("source", "reversal"),
                            ),
                            models.Q(
                                ("annotation__isnull", True),
                                ("made_by__isnull", False),
                                ("source", "adjustment"),
                                models.Q(("reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="pay_entry_says_what_for",
                    ),
                ],
            },
        ),
        migrations.RunPython(pay_what_was_earned, migrations.RunPython.noop),
    ]
