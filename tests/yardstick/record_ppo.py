"""Record a step of TRL's PPOTrainer on the tiny model, tensor by tensor, as ppo.json.

    VAR_DIR/yardstick/bin/python -m tests.yardstick.record_ppo

TRL's step is one long method that returns nothing, so the functions that it calls are wrapped and
what it holds at those moments is read from its frame. Nothing in the arithmetic is touched.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

from training.tests.tiny import build_tiny_model, make_brief

TARGET = Path(__file__).with_name("ppo.json")
EPISODES, MICRO_BATCH, RESPONSE = 8, 4, 10
OF_THE_ROLLOUT = (
    "logprobs", "ref_logprobs", "values", "scores", "rewards", "returns", "padding_mask",
    "padding_mask_p1", "sequence_lengths",
)  # fmt: skip
OF_A_MICRO_BATCH = (
    "new_logprobs", "mb_logprobs", "mb_advantage", "mb_return", "mb_values", "vpred", "pg_loss",
    "vf_loss", "loss",
)  # fmt: skip


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        model = make_brief(build_tiny_model(Path(place) / "tiny"), share=0.1)
        trainer = make_trainer(model, Path(place))
        recorded = record(trainer)
    recorded["settings"] = {
        name: getattr(trainer.args, name)
        for name in ("kl_coef", "gamma", "lam", "cliprange", "cliprange_value", "vf_coef")
    }
    TARGET.write_text(json.dumps(recorded, indent=0), encoding="utf-8")
    sys.stdout.write(f"Written to {TARGET}.\n")


def make_trainer(model_path: Path, place: Path) -> PPOTrainer:
    """Return a trainer as TRL's users put it together for LoRA: no reference, two more models."""
    tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
    tokenizer.pad_token = "<|endoftext|>"
    texts = [f"<|im_start|>user\nthe moon {number}<|im_end|>\n" for number in range(EPISODES)]
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        heads.append(AutoModelForSequenceClassification.from_pretrained(model_path, num_labels=1))
    reward, value = heads
    torch.nn.init.normal_(reward.score.weight, std=1.0)
    config = PPOConfig(
        output_dir=str(place / "out"),
        per_device_train_batch_size=MICRO_BATCH,
        gradient_accumulation_steps=EPISODES // MICRO_BATCH,
        num_mini_batches=EPISODES // MICRO_BATCH,
        total_episodes=EPISODES,
        num_ppo_epochs=3,
        response_length=RESPONSE,
        stop_token="eos",
        temperature=1.0,
        missing_eos_penalty=1.0,
        learning_rate=0.05,  # far too high, so that ratios and values are clipped
        num_sample_generations=0,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        seed=3,
    )
    return PPOTrainer(
        args=config,
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(model_path),
        ref_model=None,
        reward_model=reward,
        value_model=value,
        train_dataset=Dataset.from_dict({"input_ids": tokenizer(texts)["input_ids"]}),
        eval_dataset=Dataset.from_dict({"input_ids": tokenizer(texts)["input_ids"]}),
        peft_config=LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )


def record(trainer: PPOTrainer) -> dict[str, Any]:
    """Train one step; return the tensors of its rollout and of every micro-batch."""
    whiten, backward = ppo_trainer.masked_whiten, trainer.accelerator.backward
    rollout: dict[str, Any] = {}
    micro_batches: list[dict[str, Any]] = []

    def frame_of_step() -> FrameType:
        frame = inspect.currentframe()
        while frame is not None and "padding_mask_p1" not in frame.f_locals:
            frame = frame.f_back
        assert frame is not None
        return frame

    def whiten_and_record(values: Any, mask: Any, **options: Any) -> Any:
        whitened = whiten(values, mask, **options)
        rollout.update(taken(frame_of_step(), OF_THE_ROLLOUT))
        rollout["advantages"] = plain(values)
        rollout["whitened"] = plain(torch.where(mask, whitened, 0.0))
        return whitened

    def backward_and_record(loss: Any, **options: Any) -> None:
        micro_batches.append(taken(frame_of_step(), OF_A_MICRO_BATCH))
        rows = frame_of_step().f_locals["micro_batch_inds"]
        micro_batches[-1]["rows"] = [int(row) for row in rows]
        backward(loss, **options)

    ppo_trainer.masked_whiten = whiten_and_record
    trainer.accelerator.backward = backward_and_record
    trainer.train()
    ppo_trainer.masked_whiten = whiten
    return {"rollout": rollout, "micro_batches": micro_batches}


def taken(frame: FrameType, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: plain(frame.f_locals[name]) for name in names}


def plain(values: torch.Tensor) -> Any:
    values = values.detach()
    return (values.double() if values.is_floating_point() else values.int()).tolist()


if __name__ == "__main__":
    main()
