"""What a new run starts from, learns from and is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms

from training import artifacts, selectors
from training.forms.configs import SNAPSHOT_CONTENT, ConfigForm
from training.forms.plain import choose
from training.forms.snapshots import SnapshotField
from training.models import Checkpoint, DatasetSnapshot, Run, Stage
from training.pipeline.config import CONFIGS
from training.pipeline.presets import find_preset
from training.services import SCORED

if TYPE_CHECKING:
    from annotations.models import Project


class RunForm(ConfigForm):
    """What a new run starts from, learns from and is told."""

    parent = forms.ModelChoiceField(Checkpoint.objects.none(), label="Start from")
    snapshot = SnapshotField(
        DatasetSnapshot.objects.none(), label="Snapshot", empty_label="Choose a snapshot"
    )

    def __init__(self, project: Project, stage: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(stage, *args, **kwargs)
        adapters = Checkpoint.objects.filter(project_id=project.pk)
        choose(
            self.fields["parent"],
            adapters.exclude(kind__in=(Checkpoint.Kind.REWARD, Checkpoint.Kind.EXTERNAL)),
            "There is no model to start from. Register a base model first.",
        )
        self.fields["parent"].help_text = PARENT_HELP[stage]
        content = SNAPSHOT_CONTENT[stage]
        choose(
            self.fields["snapshot"],
            DatasetSnapshot.objects.filter(project_id=project.pk, content=content),
            f"Choose a snapshot of {content.value}; freeze one on the snapshots page first.",
        )
        if stage in SCORED:
            self.fields["reward_checkpoint"] = forms.ModelChoiceField(
                Checkpoint.objects.none(),
                label="Reward model",
                empty_label="Choose a reward model",
                help_text="Scores the completions. It must stem from the same base model.",
            )
            choose(
                self.fields["reward_checkpoint"],
                adapters.filter(kind=Checkpoint.Kind.REWARD),
                f"{Stage(stage).label} needs a reward model. Train one first: new run, reward.",
            )

    def sources(self) -> list[forms.BoundField]:
        names = ("parent", "snapshot", "reward_checkpoint")
        return [self[name] for name in names if name in self.fields]


def run_defaults(
    project: Project,
    stage: str,
    *,
    preset: str = "",
    earlier: Run | None = None,
    mended: bool = False,
) -> dict[str, Any]:
    """Return what a new run's form starts with: the newest there is, an earlier run, a preset.

    `mended` takes what the earlier run's failure asks to be changed.
    """
    without = (Checkpoint.Kind.REWARD, Checkpoint.Kind.EXTERNAL)
    policies = project.checkpoints.exclude(kind__in=without)
    rewards = project.checkpoints.filter(kind=Checkpoint.Kind.REWARD)
    snapshots = project.snapshots.filter(content=SNAPSHOT_CONTENT[stage])
    parent = selectors.promoted_checkpoint(project) or policies.first()
    values: dict[str, Any] = {
        "parent": parent,
        "snapshot": snapshots.first(),
        "reward_checkpoint": parent and _of_same_base(parent, rewards),
    }
    values = {name: value and value.pk for name, value in values.items()}
    if earlier is not None:
        values |= earlier.config | (earlier.remedy if mended else {})
        values |= {
            "parent": earlier.parent_id,
            "snapshot": earlier.snapshot_id,
            "reward_checkpoint": earlier.reward_checkpoint_id,
        }
    found = find_preset(stage, preset)
    return values | (found.values if found else {})


def _of_same_base(parent: Checkpoint, rewards: Iterable[Checkpoint]) -> Checkpoint | None:
    """Return the first of the reward models that stems from what the policy stems from."""
    base = artifacts.base_of(parent)
    return next((one for one in rewards if artifacts.base_of(one) == base), None)


def posted(stage: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` over the defaults of the stage as a browser would send the form."""
    defaults = CONFIGS[stage]().to_dict()
    return {name: v for name, v in (defaults | values).items() if v is not None and v is not False}


PARENT_HELP = {
    "sft": "The base model, or a checkpoint to teach more.",
    "reward": "Its knowledge is kept; a score head is put on top. The policy in force fits best.",
    "ppo": "The policy to improve. It is also the reference that KL is measured against.",
    "dpo": "The policy to improve, best the one that was judged. It is the reference, too.",
    "kto": "The policy to improve, best the one that was judged. It is the reference, too.",
    "grpo": "The policy to improve. It is also the reference that KL is measured against.",
    "rloo": "The policy to improve. It is also the reference that KL is measured against.",
    "rejection": "The policy that answers, and that learns from its best answers.",
}
