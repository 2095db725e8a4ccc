"""What an engineer may set about a project's arena."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from training import selectors
from training.models import Checkpoint
from training.services.arena import MOST_A_DAY

if TYPE_CHECKING:
    from annotations.models import Project


class FightersField(forms.ModelMultipleChoiceField):
    """Who fights, saying of servers elsewhere what choosing them means."""

    def label_from_instance(self, obj: Checkpoint) -> str:
        return f"{obj} (external: gets the questions)" if obj.is_external else str(obj)


class ArenaForm(forms.Form):
    """Who fights in the arena, who may ask, how often, and whether votes teach."""

    checkpoints = FightersField(
        Checkpoint.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )
    is_open = forms.BooleanField(required=False)
    daily_limit = forms.IntegerField(min_value=1, max_value=MOST_A_DAY)
    learns_from_arena = forms.BooleanField(required=False)

    def __init__(self, project: Project, data: Any = None) -> None:
        arena = selectors.arena_of(project)
        initial = {
            "is_open": arena.is_open,
            "daily_limit": arena.daily_limit,
            "learns_from_arena": project.learns_from_arena,
            "checkpoints": selectors.chosen_fighters(project),
        }
        super().__init__(data, initial=initial)
        chosen = self.fields["checkpoints"]
        assert isinstance(chosen, forms.ModelMultipleChoiceField)
        chosen.queryset = selectors.possible_fighters(project)
