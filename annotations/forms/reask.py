"""What owners send who ask comparisons again."""

from __future__ import annotations

from django import forms

LARGEST = 2**31 - 1


class ReaskForm(forms.Form):
    """Which answers may be asked again, and how many."""

    since = forms.IntegerField(min_value=1, max_value=LARGEST)
    count = forms.IntegerField(
        min_value=1,
        max_value=1_000,
        label="Ask again",
        help_text="The likeliest to come out otherwise; a tenth as many at random beside "
        "them, five at least.",
    )
