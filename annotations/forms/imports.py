"""A file to import, and how it is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from annotations.importers import FORMATS, TARGETS
from annotations.models import Import
from annotations.services.imported_files import MAX_IMPORT_BYTES

COLUMN = "column-"
"""What the field of a column is called; its number follows."""


class ImportFileForm(forms.Form):
    file = forms.FileField(
        error_messages={
            "required": "Choose a file first.",
            "empty": "This file is empty. Choose one with at least one row.",
        },
        max_length=200,
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_IMPORT_BYTES:
            raise ValidationError(
                "This file is larger than 2 GB. Import it on the server: manage.py import_file."
            )
        return file


class ReadingForm(forms.Form):
    """What the rows of a file are, and for each column what it is."""

    format = forms.ChoiceField(
        choices=[(name, one.label) for name, one in FORMATS.items()], label="The file holds"
    )
    annotator = forms.CharField(
        max_length=200,
        required=False,
        label="Who said it, where the file names nobody",
        help_text="A name or number of your choice. It becomes a person who cannot sign in.",
    )
    asks = forms.BooleanField(
        required=False, label="Ask labellers about what nobody judged in the file"
    )

    def __init__(self, brought: Import, columns: Mapping[str, str], *args: Any) -> None:
        super().__init__(*args)
        self.names, self.before = list(columns), brought.columns
        self.initial = {
            "format": brought.format,
            "annotator": brought.annotator,
            "asks": brought.asks,
        }
        allowed = FORMATS[brought.format].targets
        choices = [("", "Not imported"), *((name, TARGETS[name]) for name in allowed)]
        what = {column: target for target, column in brought.columns.items()}
        for number, name in enumerate(self.names):
            self.fields[f"{COLUMN}{number}"] = forms.ChoiceField(
                choices=choices,
                required=False,
                label=name,
                initial=what.get(name, ""),
                widget=forms.Select(attrs={"class": "input input--small"}),
            )

    def column_fields(self) -> list[forms.BoundField]:
        """Return the fields of the columns, in their order."""
        return [self[f"{COLUMN}{number}"] for number in range(len(self.names))]

    def columns(self) -> dict[str, str]:
        """Return which column each target is; one that the first rows have not stays as it is."""
        chosen = {
            target: name
            for number, name in enumerate(self.names)
            if (target := self.cleaned_data.get(f"{COLUMN}{number}"))
        }
        unseen = {what: name for what, name in self.before.items() if name not in self.names}
        return {**unseen, **chosen}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        chosen = [value for name, value in cleaned.items() if name.startswith(COLUMN) and value]
        if doubled := next((one for one in chosen if chosen.count(one) > 1), None):
            raise ValidationError(f"Two columns are “{TARGETS[doubled]}”. Choose one of them.")
        return cleaned
