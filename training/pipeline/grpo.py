"""GRPO: advantages relative to a prompt's other completions, with TRL's GRPOTrainer and LoRA.

Shao et al. 2024 (arXiv:2402.03300), DeepSeekMath: no value function; a completion's advantage is
its reward less the mean of its group, over the group's spread, and the KL to the reference, the
parent, is part of the loss. The loss is averaged over the tokens of the batch, as TRL does by
default (DAPO, arXiv:2503.14476). See `training.pipeline.groups` for what it shares with RLOO. Left
out: several passes over one rollout.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback
from trl import GRPOConfig as TRLConfig
from trl import GRPOTrainer

from training.pipeline import groups
from training.pipeline.config import GRPOConfig
from training.pipeline.groups import Rollouts
from training.pipeline.jobs import Job
from training.pipeline.reporting import Reporter


def train(job: Job, config: GRPOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy against a reward model and publish it. Return what changed."""
    return groups.train(job, config, reporter, _trainer)


class OwnRolloutsGRPOTrainer(GRPOTrainer):
    """TRL's trainer on completions that this pipeline draws."""

    rollouts: Rollouts

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.rollouts.prompts(prompts), None, {}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *_: Any, **__: Any
    ) -> tuple[list[list[int]], None]:
        return self.rollouts.complete(prompt_ids, self.state.global_step), None

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, *args: Any, **more: Any
    ) -> Any:
        found = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, *args, **more
        )
        self.rollouts.note(found[0], attention_mask)
        return found


def _trainer(
    job: Job,
    config: GRPOConfig,
    rollouts: Rollouts,
    prompts: Dataset,
    callbacks: list[TrainerCallback],
) -> OwnRolloutsGRPOTrainer:
    trainer = OwnRolloutsGRPOTrainer(
        model=rollouts.models.model,
        reward_funcs=rollouts.reward,
        args=TRLConfig(
            **groups.trainer_settings(job, config),
            scale_rewards="group" if config.scale_rewards else "none",
        ),
        train_dataset=prompts,
        processing_class=rollouts.models.tokenizer,
        callbacks=callbacks,
    )
    trainer.rollouts = rollouts
    return trainer
