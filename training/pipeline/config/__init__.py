"""What a person may choose about a run, one frozen dataclass per stage.

No torch here: forms, services and tests read this file. Each field's docstring stands under it
and is shown as the field's help in the form. `__post_init__` refuses values that cannot work,
with a message that names the cure.
"""

from __future__ import annotations

import json
from typing import Any

from training.pipeline.config.feedback import (
    DPOConfig,
    KTOConfig,
    RejectionConfig,
    RewardConfig,
    SFTConfig,
)
from training.pipeline.config.outputs import (
    MOST_TIES,
    ExportConfig,
    ReplayConfig,
    SampleConfig,
    SuiteConfig,
    WeighConfig,
    rows_at_once,
)
from training.pipeline.config.rewards import GroupConfig, GRPOConfig, PPOConfig, RLOOConfig
from training.pipeline.config.stage import (
    LORA_TARGETS,
    MOST_NEW_TOKENS,
    SharedConfig,
    StageConfig,
    TrainConfig,
    between,
    check_sampling,
)
from training.pipeline.errors import PipelineError

__all__ = [
    "CONFIGS",
    "LORA_TARGETS",
    "MOST_NEW_TOKENS",
    "MOST_TIES",
    "AnyConfig",
    "DPOConfig",
    "ExportConfig",
    "GRPOConfig",
    "GroupConfig",
    "KTOConfig",
    "PPOConfig",
    "RLOOConfig",
    "RejectionConfig",
    "ReplayConfig",
    "RewardConfig",
    "SFTConfig",
    "SampleConfig",
    "SharedConfig",
    "StageConfig",
    "SuiteConfig",
    "TrainConfig",
    "WeighConfig",
    "between",
    "check_sampling",
    "parse_config",
    "read_settings",
    "rows_at_once",
]

AnyConfig = (
    SFTConfig
    | RewardConfig
    | PPOConfig
    | DPOConfig
    | KTOConfig
    | GRPOConfig
    | RLOOConfig
    | RejectionConfig
    | SampleConfig
    | ExportConfig
    | SuiteConfig
    | ReplayConfig
    | WeighConfig
)

CONFIGS: dict[str, type[AnyConfig]] = {
    "sft": SFTConfig,
    "reward": RewardConfig,
    "ppo": PPOConfig,
    "dpo": DPOConfig,
    "kto": KTOConfig,
    "grpo": GRPOConfig,
    "rloo": RLOOConfig,
    "rejection": RejectionConfig,
    "sample": SampleConfig,
    "export": ExportConfig,
    "suite": SuiteConfig,
    "replay": ReplayConfig,
    "weigh": WeighConfig,
}


def parse_config(stage: str, values: dict[str, Any]) -> AnyConfig:
    """Return the config of `stage`, checked. Raise PipelineError when it cannot work."""
    if stage not in CONFIGS:
        raise PipelineError(f"Unknown stage {stage!r}; known: {', '.join(CONFIGS)}.")
    return CONFIGS[stage].from_dict({k: v for k, v in values.items() if k != "stage"})


def read_settings(text: str, stage: str) -> dict[str, Any]:
    """Return the settings of `stage` in the text of a job file, or of its `config` alone.

    Raise PipelineError where the text is of another stage or something else altogether.

    >>> read_settings('{"config": {"stage": "sft", "epochs": 2.0}, "base_path": "/m"}', "sft")
    {'epochs': 2.0}
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, dict):
        values = values.get("config", values)
    if not isinstance(values, dict):
        raise PipelineError("This is no file of settings. Export one from the page of a run.")
    found = values.get("stage", stage)
    if found != stage:
        raise PipelineError(f"These are settings of {found}, not of {stage}. Choose another file.")
    parse_config(stage, values)
    return {name: value for name, value in values.items() if name != "stage"}
