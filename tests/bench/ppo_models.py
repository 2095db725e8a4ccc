"""Write the reward model that both PPO trainers are scored by: an adapter, and the same merged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification

from tests.bench.subjects import haiku_prompts
from training.pipeline.checkpoints import seal
from training.pipeline.config import LORA_TARGETS
from training.pipeline.loading import load_tokenizer, pick_dtype


def main(settings: dict[str, Any]) -> None:
    place, tokenizer = Path(settings["place"]), load_tokenizer(settings["model"])
    torch.manual_seed(0)
    base = AutoModelForSequenceClassification.from_pretrained(
        settings["model"], num_labels=1, dtype=torch.float32
    )
    base.config.pad_token_id = tokenizer.pad_token_id
    lora = LoraConfig(
        r=16, target_modules=list(LORA_TARGETS), modules_to_save=["score"], task_type="SEQ_CLS"
    )
    model = get_peft_model(base, lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "score.modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=settings["spread"])
    model.save_pretrained(place / "reward")
    tokenizer.save_pretrained(place / "reward")
    seal(place / "reward", {})
    whole = model.merge_and_unload()
    whole.config.pad_token_id = tokenizer.pad_token_id
    whole.save_pretrained(place / "reward-merged")
    prompts = [
        {"split": "train", "prompt_id": number, "prompt": [{"role": "user", "content": text}]}
        for number, text in enumerate(haiku_prompts())
    ]
    rows = place / "prompts.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in prompts), encoding="utf-8")
    picked = str(pick_dtype()).removeprefix("torch.")
    print(json.dumps({"picked": picked, "pad_token": tokenizer.pad_token}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
