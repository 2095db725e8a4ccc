"""Where a checkpoint or a snapshot is to be copied to."""

from __future__ import annotations

from typing import Any

from django import forms

from training.forms.plain import PlainForm
from training.pipeline.pushing import HUB
from training.services.pushes import LONGEST_URL, push_targets


class PushForm(PlainForm):
    """The address of a folder that is not there yet, or of a repository."""

    url = forms.CharField(
        max_length=LONGEST_URL,
        label="Copy to",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        targets = push_targets()
        folders = " or ".join(target for target in targets if target != HUB)
        said = [
            f"A folder that is not there yet, below {folders}." if folders else "",
            f"A repository of a hub is {HUB}owner/name; it is made private if it is not there."
            if HUB in targets
            else "",
        ]
        self.fields["url"].help_text = " ".join(filter(None, said))
