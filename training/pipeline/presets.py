"""Settings for one purpose: what the form, `manage.py train` and a notebook fill a config from.

No torch here. A preset names only what differs from the defaults of its stage. Those that need
hardware that this project was not tried on say so: their memory is reckoned (`estimate.py`), their
values come from the literature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Values that fill the settings of a stage for one purpose."""

    name: str
    label: str
    note: str
    values: dict[str, Any]


UNTRIED = "It was not tried here; what the source leaves open (lengths, steps) is our choice."

_OF_GROUPS = (
    Preset(
        "quick",
        "Quick check",
        "Ten small steps, to see where the reward goes.",
        {"steps": 10, "batch_size": 16, "minibatch_size": 8, "group_size": 4},
    ),
    Preset(
        "haiku",
        "Haiku on a laptop",
        "The defaults: forty steps, four prompts with eight completions each.",
        {},
    ),
    Preset(
        "careful",
        "Careful",
        "Smaller steps, and a dearer way from the reference.",
        {"learning_rate": 1e-5, "beta": 0.1, "steps": 80},
    ),
)
_GROUPS_7B = {
    "learning_rate": 1e-5,
    "batch_size": 64,
    "minibatch_size": 8,
    "steps": 200,
    "max_new_tokens": 256,
    "checkpoint_every": 20,
}

PRESETS: dict[str, tuple[Preset, ...]] = {
    "sft": (
        Preset("quick", "Quick check", "One pass, to see that it learns.", {"epochs": 1.0}),
        Preset(
            "haiku",
            "Haiku on a laptop",
            "The defaults: 230 demonstrations took five minutes on two cores (docs/log.md).",
            {},
        ),
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            f"QLoRA's values for 7B (arXiv:2305.14314, appendix B). {UNTRIED}",
            {
                "learning_rate": 2e-4,
                "batch_size": 16,
                "micro_batch_size": 4,
                "gradient_checkpointing": True,
                "max_length": 2048,
                "checkpoint_every": 50,
            },
        ),
        Preset(
            "70b-fsdp",
            "70B FSDP",
            "QLoRA's values for 65B, on eight 80 GB GPUs that share the weights. " + UNTRIED,
            {
                "learning_rate": 1e-4,
                "batch_size": 16,
                "micro_batch_size": 1,
                "gradient_checkpointing": True,
                "max_length": 2048,
                "checkpoint_every": 50,
                "processes": 8,
                "sharding": "fsdp",
            },
        ),
    ),
    "reward": (
        Preset(
            "quick",
            "Quick check",
            "Half a pass on few pairs: does it beat a coin flip?",
            {"epochs": 0.5, "min_pairs": 10},
        ),
        Preset(
            "haiku",
            "Haiku on a laptop",
            "The defaults: 1,300 pairs took five minutes on two cores (docs/log.md).",
            {},
        ),
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            f"InstructGPT's batch and ten times its learning rate, as LoRA wants. {UNTRIED}",
            {
                "learning_rate": 9e-5,
                "batch_size": 64,
                "max_length": 2048,
                "checkpoint_every": 20,
                "min_pairs": 500,
            },
        ),
    ),
    "ppo": (
        Preset(
            "quick",
            "Quick check",
            "Ten rollout steps, to see where score and KL go.",
            {"steps": 10, "batch_size": 16, "minibatch_size": 8},
        ),
        Preset(
            "haiku",
            "Haiku on a laptop",
            "The defaults: 640 episodes, with a KL price that held in four of four loops.",
            {},
        ),
        Preset(
            "careful",
            "Careful",
            "Smaller steps, steered towards 2 nats of KL.",
            {"learning_rate": 2e-5, "target_kl": 2.0, "steps": 80, "max_kl": 8.0},
        ),
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            "Ten times the learning rate of Huang et al. 2024 (arXiv:2403.17031), as LoRA wants. "
            f"{UNTRIED}",
            {
                "learning_rate": 3e-5,
                "batch_size": 64,
                "minibatch_size": 8,
                "steps": 200,
                "ppo_epochs": 1,
                "max_new_tokens": 256,
                "checkpoint_every": 20,
            },
        ),
    ),
    "dpo": (
        Preset(
            "quick", "Quick check", "Half a pass on few pairs.", {"epochs": 0.5, "min_pairs": 10}
        ),
        Preset("haiku", "Haiku on a laptop", "The defaults: one pass, as most recipes do.", {}),
        Preset(
            "careful",
            "Careful",
            "Close to the reference, and what was chosen stays likely.",
            {"beta": 0.5, "learning_rate": 5e-6, "sft_coef": 0.2},
        ),
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            "Zephyr's batch and ten times its learning rate, as LoRA wants (arXiv:2310.16944). "
            f"{UNTRIED}",
            {
                "learning_rate": 5e-6,
                "batch_size": 32,
                "max_length": 1024,
                "checkpoint_every": 20,
                "min_pairs": 500,
            },
        ),
    ),
    "kto": (
        Preset("quick", "Quick check", "Half a pass on few rows.", {"epochs": 0.5, "min_rows": 10}),
        Preset(
            "haiku",
            "Haiku on a laptop",
            "The defaults: one pass, the rarer kind weighted up.",
            {},
        ),
        Preset(
            "careful",
            "Careful",
            "Close to the reference.",
            {"beta": 0.5, "learning_rate": 5e-6},
        ),
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            "The paper's batch and ten times its learning rate, as LoRA wants (arXiv:2402.01306). "
            f"{UNTRIED}",
            {
                "learning_rate": 5e-6,
                "batch_size": 32,
                "max_length": 1024,
                "checkpoint_every": 20,
                "min_rows": 500,
            },
        ),
    ),
    "grpo": (
        *_OF_GROUPS,
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            "Ten times DeepSeekMath's learning rate, as LoRA wants, and a quarter of its "
            f"completions of a prompt (arXiv:2402.03300, §4.2). {UNTRIED}",
            {**_GROUPS_7B, "group_size": 16},
        ),
    ),
    "rloo": (
        *_OF_GROUPS,
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            "Four completions of a prompt, as Ahmadian et al. 2024 (arXiv:2402.14740) draw. "
            f"{UNTRIED}",
            {**_GROUPS_7B, "group_size": 4},
        ),
    ),
    "rejection": (
        Preset("quick", "Quick check", "The best of four.", {"best_of": 4}),
        Preset(
            "haiku", "Haiku on a laptop", "The defaults: the best of eight, learned from once.", {}
        ),
        Preset(
            "greedy",
            "Greedy",
            "The best of 32, learned from twice.",
            {"best_of": 32, "epochs": 2.0},
        ),
        Preset(
            "7b",
            "7B on one 80 GB GPU",
            f"The best of 16, with QLoRA's learning rate (arXiv:2305.14314). {UNTRIED}",
            {
                "learning_rate": 2e-4,
                "best_of": 16,
                "max_new_tokens": 256,
                "max_length": 768,
                "checkpoint_every": 50,
            },
        ),
    ),
}


def presets_of(stage: str) -> tuple[Preset, ...]:
    """Return the presets of a stage; a stage may have none."""
    return PRESETS.get(stage, ())


def find_preset(stage: str, name: str) -> Preset | None:
    """Return the preset with this name.

    >>> find_preset("ppo", "quick").values["steps"]
    10
    """
    return next((one for one in presets_of(stage) if one.name == name), None)
