"""What an hour earned is in the rates, and nobody changes what is there.

Apart from the migration before: PostgreSQL alters no table while rows of it wait to be checked.
"""

from __future__ import annotations

from importlib import import_module

from django.db import migrations

ledger = import_module("annotations.migrations.0011_pay")


class Migration(migrations.Migration):
    dependencies = [("annotations", "0011_pay")]

    operations = [
        migrations.RunPython(ledger.guard, ledger.unguard),
        migrations.RemoveField(model_name="project", name="hourly_pay"),
        migrations.RemoveField(model_name="project", name="currency"),
    ]
