"""Some steps of TRL's PPOTrainer as its users must run it; one JSON line of what they took."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

from tests.bench.yardstick import peak_megabytes

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Clock(TrainerCallback):
    """Remembers when each step ended and what it logged."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.scores: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended.append(time.monotonic())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "objective/scores" in logs:
            self.scores.append(logs["objective/scores"])


def main(settings: dict[str, Any]) -> None:
    dtype = getattr(torch, settings["dtype"])
    tokenizer = AutoTokenizer.from_pretrained(settings["model"], padding_side="left")
    tokenizer.pad_token = settings["pad_token"]
    place = Path(settings["place"])
    lines = (place / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    ids = [
        tokenizer(
            tokenizer.apply_chat_template(
                json.loads(line)["prompt"], tokenize=False, add_generation_prompt=True
            ),
            add_special_tokens=False,
        )["input_ids"]
        for line in lines
    ]
    rows = Dataset.from_dict({"input_ids": ids})
    reward, value = (
        AutoModelForSequenceClassification.from_pretrained(
            place / "reward-merged", num_labels=1, dtype=dtype
        )
        for _ in range(2)
    )
    clock = Clock()
    rollouts = time_rollouts()
    trainer = PPOTrainer(
        args=config_of(settings, place),
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(settings["model"], dtype=dtype),
        ref_model=None,
        reward_model=reward,
        value_model=value,
        train_dataset=rows,
        eval_dataset=rows,
        callbacks=[clock],
        peft_config=LoraConfig(
            r=settings["rank"],
            lora_alpha=2 * settings["rank"],
            target_modules=TARGETS,
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train()
    steps = len(clock.ended) - 1
    seconds = clock.ended[-1] - clock.ended[0]
    result = {
        "episodes_per_second": steps * settings["episodes"] / seconds,
        "peak_mb": peak_megabytes(),
        "scores": clock.scores,
        "seconds": {"rollout": sum(rollouts[1:]) / steps},
    }
    print(json.dumps(result))


def config_of(settings: dict[str, Any], place: Path) -> PPOConfig:
    """Return the settings of ours in TRL's words."""
    return PPOConfig(
        output_dir=str(place / "trl"),
        per_device_train_batch_size=settings["micro_batch"],
        gradient_accumulation_steps=settings["episodes"] // settings["micro_batch"],
        local_rollout_forward_batch_size=settings["episodes"],
        total_episodes=(settings["steps"] + 1) * settings["episodes"],
        num_ppo_epochs=settings["epochs"],
        response_length=settings["response_length"],
        stop_token="eos",
        temperature=1.0,
        missing_eos_penalty=1.0,
        learning_rate=settings["learning_rate"],
        kl_coef=0.05,
        num_sample_generations=0,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=settings["dtype"] == "bfloat16",
        disable_tqdm=True,
        seed=settings["seed"],
    )


def time_rollouts() -> list[float]:
    """Let the generation of each step be timed; return where its seconds will stand."""
    generate, seconds = ppo_trainer.batch_generation, []

    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.monotonic()
        generated = generate(*arguments, **options)
        seconds.append(time.monotonic() - started)
        return generated

    ppo_trainer.batch_generation = timed
    return seconds


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
