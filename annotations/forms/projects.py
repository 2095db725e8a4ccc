"""What owners and engineers send: settings, members, guidelines, prompts."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

from annotations.forms.fields import VerbatimField
from annotations.models import Project, Role

MAX_PASTE_CHARS = 1_000_000
MAX_UPLOAD_BYTES = 50 * 1024 * 1024
MAX_LINES = 50
MAX_SYLLABLES = 99
COUNTERS = [(name, name.capitalize()) for name in ("characters", "words", "lines", "syllables")]


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What people see it called, such as Haiku.")
    description = forms.CharField(
        max_length=300, required=False, help_text="One sentence: what is being taught."
    )


class SyllablesField(forms.Field):
    """The syllables of each line, as people write them: 5-7-5."""

    def prepare_value(self, value: Any) -> Any:
        return "-".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[int]:
        numbers = re.split(r"[\s,-]+", str(value or "").strip())
        try:
            counts = [int(number) for number in numbers if number]
        except ValueError:
            raise ValidationError(
                "Write numbers with hyphens between them, such as 5-7-5."
            ) from None
        if len(counts) > MAX_LINES or any(not 1 <= count <= MAX_SYLLABLES for count in counts):
            raise ValidationError(
                f"Up to {MAX_LINES} lines of 1 to {MAX_SYLLABLES} syllables can be counted, "
                "such as 5-7-5."
            )
        return counts


class ProjectSettingsForm(ProjectForm):
    """Everything that owners decide about a project, in groups."""

    is_paused = forms.BooleanField(
        required=False,
        label="Pause the project",
        help_text="Nobody is handed anything new. What people hold they may still hand in.",
    )

    comparison_overlap = forms.IntegerField(
        min_value=1,
        max_value=100,
        label="Labellers per comparison",
        help_text="How many people judge each comparison. Two or more let agreement be measured.",
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=24 * 60,
        label="Minutes per item",
        help_text="How long an item is kept for the person who opened it. Work sent later is kept.",
    )
    skip_policy = forms.ChoiceField(
        choices=Project.SkipPolicy,
        initial=Project.SkipPolicy.OTHERS,
        label="A skipped item goes",
        help_text="Whoever skips says why.",
        required=False,
    )
    review_by_risk = forms.BooleanField(
        required=False,
        label="Review risky texts more often",
        help_text="By new people, written faster than one types, or by those of whom much was "
        "rejected: twice as often for each. No text is reviewed less often than the share says.",
    )
    adjudicated = forms.ChoiceField(
        choices=Project.Adjudicated,
        initial=Project.Adjudicated.INSTEAD,
        label="Where people disagree and somebody decides, the decision counts",
        help_text="In what models learn from. Agreement and the leaderboard never count it.",
        required=False,
    )
    flag_pause = forms.ChoiceField(
        choices=Project.FlagPause,
        initial=Project.FlagPause.NEVER,
        label="Flags pause by themselves",
        help_text="Labellers who seem not to look at what they judge get no more work until an "
        "owner decides; they are told why, and nothing that they earned is touched.",
        required=False,
    )
    max_skips = forms.IntegerField(
        min_value=0,
        max_value=1_000_000,
        required=False,
        label="Give up after so many skips",
        help_text="An item that so many people skipped is handed out no more. 0: never.",
    )
    daily_limit = forms.IntegerField(
        min_value=1,
        max_value=1_000_000,
        required=False,
        label="At most a day, per person",
        help_text="Annotations that one person may hand in on one day. Empty: no limit.",
    )
    total_limit = forms.IntegerField(
        min_value=1,
        max_value=1_000_000,
        required=False,
        label="At most in all, per person",
        help_text="Annotations that one person may hand in at all. Empty: no limit.",
    )
    gold_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        required=False,
        label="Gold items, in percent",
        help_text="Of what a person is handed, so much has a known answer and checks them.",
    )
    review_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        required=False,
        label="Reviewed, in percent",
        help_text="Of what people write, so much is reviewed by somebody else.",
    )

    random_percent = forms.IntegerField(
        min_value=1,
        max_value=100,
        required=False,
        label="Asked at random, in percent",
        help_text="Of comparisons and rankings. The others are chosen by what an answer would "
        "teach (see “Next items”). 100: nothing is chosen, and the oldest come first.",
    )

    grace_seconds = forms.IntegerField(
        min_value=0,
        max_value=3600,
        required=False,
        label="Seconds to undo",
        help_text="How long after sending or skipping it can be taken back. 0: not at all.",
    )
    edits_allowed = forms.BooleanField(
        required=False,
        label="Own work can be corrected later",
        help_text="From one's own history. The earlier answer stays on record.",
    )
    own_prompts_allowed = forms.BooleanField(
        required=False,
        label="Labellers may write prompts of their own",
        help_text="And answer them: plain, with examples, or as a user would ask.",
    )
    own_conversations_allowed = forms.BooleanField(
        required=False,
        label="Labellers may start conversations",
        help_text="With the promoted checkpoint, which a sampling worker runs. Two replies come "
        "back to each message, and the labeller picks one.",
    )
    shows_agreement = forms.BooleanField(
        required=False,
        label="People see how far they agree with others",
        help_text="Only after both have answered.",
    )

    rendering = forms.ChoiceField(
        choices=Project.Rendering,
        required=False,
        label="Texts are shown",
        help_text="Markdown shows headings, lists and code; nothing in it can run or load.",
    )
    counters = forms.MultipleChoiceField(
        choices=COUNTERS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Counted while one writes",
    )
    line_syllables = SyllablesField(
        required=False,
        label="Syllables wanted in each line",
        help_text="5-7-5 for haikus: the page shows whether the lines fit. Empty: not counted.",
    )

    GROUPS = (
        ("The project", ("name", "description", "is_paused")),
        (
            "The queue",
            (
                "comparison_overlap",
                "lease_minutes",
                "skip_policy",
                "max_skips",
                "daily_limit",
                "total_limit",
                "gold_percent",
                "review_percent",
                "review_by_risk",
                "random_percent",
                "adjudicated",
                "flag_pause",
            ),
        ),
        (
            "What people may do",
            (
                "grace_seconds",
                "edits_allowed",
                "own_prompts_allowed",
                "own_conversations_allowed",
                "shows_agreement",
            ),
        ),
        ("Texts and counters", ("rendering", "counters", "line_syllables")),
    )

    KEPT_WHEN_EMPTY = (
        "skip_policy",
        "adjudicated",
        "flag_pause",
        "max_skips",
        "gold_percent",
        "review_percent",
        "random_percent",
        "grace_seconds",
        "rendering",
    )
    """What has no empty value keeps the one that it has."""

    def groups(self) -> list[tuple[str, list[BoundField]]]:
        """Return the fields in the groups that they are shown in."""
        return [(name, [self[field] for field in fields]) for name, fields in self.GROUPS]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in self.KEPT_WHEN_EMPTY:
            if name in cleaned and cleaned[name] in (None, ""):
                cleaned[name] = self.get_initial_for_field(self.fields[name], name)
        return cleaned


class MemberForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    role = forms.ChoiceField(choices=Role, initial=Role.ANNOTATOR)


class MembershipChangeForm(forms.Form):
    """One act on one member."""

    action = forms.ChoiceField(
        choices=[(name, name) for name in ("role", "pause", "resume", "remove")]
    )
    role = forms.ChoiceField(choices=Role, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("action") == "role" and not cleaned.get("role"):
            raise ValidationError("Choose a role.")
        return cleaned


class PastePromptsForm(forms.Form):
    text = VerbatimField(
        field="The paste",
        max_chars=MAX_PASTE_CHARS,
        widget=forms.Textarea(attrs={"rows": 8}),
        label="Prompts, one per line",
        error_messages={"required": "Paste at least one prompt."},
    )
    as_demonstrations = forms.BooleanField(
        required=False, initial=True, label="Ask labellers to write an answer to each"
    )


class ConversationsForm(forms.Form):
    """How many of the prompts that are shown are to be conversed about, and by how many people."""

    number = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        initial=50,
        label="Conversations",
        help_text="About the newest prompts that the list above shows and that no conversation "
        "has begun with.",
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=50,
        initial=1,
        label="Labellers for each",
        help_text="Each has a conversation of their own.",
    )


class UploadForm(forms.Form):
    file = forms.FileField(
        error_messages={
            "required": "Choose a file first.",
            "empty": "This file is empty. Choose one with at least one row.",
        }
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_UPLOAD_BYTES:
            raise ValidationError(
                "This file is larger than 50 MB. Split it, or import it on the server with a "
                "management command."
            )
        return file

    def format(self) -> str:
        """Return csv or jsonl, by the file's name."""
        name: str = self.cleaned_data["file"].name
        return "csv" if name.lower().endswith(".csv") else "jsonl"


class UploadPromptsForm(UploadForm):
    as_demonstrations = forms.BooleanField(
        required=False, initial=True, label="Ask labellers to write an answer to each"
    )
