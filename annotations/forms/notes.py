"""What owners tell one person."""

from __future__ import annotations

from django import forms

from annotations.forms.fields import VerbatimField
from annotations.services.members import MAX_NOTE_CHARS


class NoteForm(forms.Form):
    text = VerbatimField(
        field="The note",
        max_chars=MAX_NOTE_CHARS,
        widget=forms.Textarea(attrs={"rows": 3}),
        label="A note to this person",
        help_text="They see it until they say that they have read it. Other owners see it, too.",
        error_messages={"required": "The note is empty. Write what the person should know."},
    )
