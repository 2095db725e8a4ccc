"""RLOO: REINFORCE with the others of a group as the baseline, with TRL's RLOOTrainer and LoRA.

Ahmadian et al. 2024 (arXiv:2402.14740): no value function; each completion is measured against
the mean reward of its prompt's other completions, and the KL to the reference, the parent, is part
of the reward. See `training.pipeline.groups` for what it shares with GRPO. Left out: several
passes over one rollout.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback
from trl import RLOOConfig as TRLConfig
from trl import RLOOTrainer

from training.pipeline import groups
from training.pipeline.config import RLOOConfig
from training.pipeline.groups import Rollouts
from training.pipeline.jobs import Job
from training.pipeline.reporting import Reporter


def train(job: Job, config: RLOOConfig, reporter: Reporter) -> dict[str, Any]:
    """Train a policy against a reward model and publish it. Return what changed."""
    return groups.train(job, config, reporter, _trainer)


class OwnRolloutsRLOOTrainer(RLOOTrainer):
    """TRL's trainer on completions that this pipeline draws."""

    rollouts: Rollouts

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.rollouts.prompts(prompts), None, {}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: None, multimodal_fields: dict[str, Any]
    ) -> list[list[int]]:
        return self.rollouts.complete(prompt_ids, self.state.global_step)

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
    config: RLOOConfig,
    rollouts: Rollouts,
    prompts: Dataset,
    callbacks: list[TrainerCallback],
) -> OwnRolloutsRLOOTrainer:
    trainer = OwnRolloutsRLOOTrainer(
        model=rollouts.models.model,
        reward_funcs=rollouts.reward,
        args=TRLConfig(**groups.trainer_settings(job, config)),
        train_dataset=prompts,
        processing_class=rollouts.models.tokenizer,
        callbacks=callbacks,
    )
    trainer.rollouts = rollouts
    return trainer
