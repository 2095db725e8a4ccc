"""What is frozen into a snapshot, and how one is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from annotations import exports
from training import aggregation
from training.forms.plain import PlainForm
from training.models import DatasetSnapshot

if TYPE_CHECKING:
    from annotations.models import Project


class SnapshotField(forms.ModelChoiceField):
    """A choice of a snapshot, by what a person tells snapshots apart by."""

    def label_from_instance(self, snapshot: DatasetSnapshot) -> str:
        made = snapshot.created_at.strftime("%-d %b %H:%M")
        return f"#{snapshot.pk} · {total_rows(snapshot)} rows · {made} · {snapshot.sha256[:8]}"


class FreezeForm(PlainForm):
    """Which annotations to freeze into a snapshot."""

    content = forms.ChoiceField(
        choices=DatasetSnapshot.Content.choices,
        label="Content",
        help_text="Demonstrations feed sft, preferences feed reward and dpo, good and bad "
        "completions feed kto, prompts (with what people wrote for them) feed all stages that "
        "need a reward model.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        label="Seed",
        help_text="Same annotations and seed give the same bytes and the same hash.",
    )
    limit = forms.IntegerField(
        min_value=1,
        required=False,
        label="Most rows of each split",
        help_text="Drawn by the seed. Empty: all of them.",
    )
    no_personal_data = forms.BooleanField(
        required=False,
        label="Leave out personal data",
        help_text="Rows with a mail address, a phone number, or the number of a card, a bank "
        "account or a social security. Names are not found: look at the rows all the same.",
    )
    ties = forms.BooleanField(
        required=False,
        label="Keep ties",
        help_text="Of preferences: as rows of their own, which only a reward model learns from.",
    )

    votes = forms.ChoiceField(
        choices=[
            ("", "Each vote as it is"),
            (aggregation.MAJORITY, "The majority of each pair"),
            (aggregation.WEIGHTED, "Weighted by how reliable people are"),
        ],
        required=False,
        label="Several votes on a pair",
        help_text="Of preferences, for training alone: what is measured on stays as people said "
        "it. Weighted needs pairs that two or more people judged; the reward model gets a soft "
        "target and a weight for each.",
    )

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people, as_of = exports.annotators(project)
        if people:
            self.fields["leave_out_annotators"] = forms.MultipleChoiceField(
                choices=[
                    (name, f"{name}, {count:,} annotation{'' if count == 1 else 's'}")
                    for name, count in people
                ],
                required=False,
                label="Leave out the work of",
                help_text="Nobody, unless you choose. Hold Ctrl to choose several."
                + (f" Counted at {as_of:%H:%M} UTC." if as_of else ""),
                error_messages={
                    "invalid_choice": "%(value)s has annotated nothing in this project."
                },
            )

    def filters(self) -> dict[str, Any]:
        """Return what was chosen; what was not is no filter."""
        names = ("limit", "no_personal_data", "leave_out_annotators", "ties", "votes")
        return {name: value for name in names if (value := self.cleaned_data.get(name))}


def total_rows(snapshot: DatasetSnapshot) -> int:
    """Return how many rows the snapshot holds over all splits."""
    rows = snapshot.counts.get("rows", 0)
    return sum(rows.values()) if isinstance(rows, dict) else int(rows)
