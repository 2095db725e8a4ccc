"""Sample some batches, our way or with `generate`; one JSON line of what they took."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from tests.bench.subjects import haiku_prompts
from tests.bench.yardstick import peak_megabytes
from training.pipeline.config import SFTConfig
from training.pipeline.data import encode_prompt
from training.pipeline.loading import add_policy, load_base, load_tokenizer, pick_dtype
from training.pipeline.rollouts import pad_left, sample


def main(settings: dict[str, Any]) -> None:
    tokenizer = load_tokenizer(settings["model"])
    model = add_policy(load_base(settings["model"]), None, SFTConfig()).eval()
    draw = {"ours": draw_ours, "generate": draw_with_generate}[settings["way"]]
    texts = haiku_prompts()
    seconds, tokens, rows = 0.0, 0, 0
    for number in range(settings["batches"] + 1):
        first = number * settings["batch"]
        chosen = [texts[(first + row) % len(texts)] for row in range(settings["batch"])]
        ids = [encode_prompt(tokenizer, [{"role": "user", "content": t}]) for t in chosen]
        started = time.monotonic()
        drawn = draw(model, tokenizer, ids, settings["max_new_tokens"], number)
        if number:  # the first warms up
            seconds += time.monotonic() - started
            tokens, rows = tokens + drawn, rows + len(ids)
    found = {
        "tokens_per_second": tokens / seconds,
        "mean_length": tokens / rows,
        "peak_mb": peak_megabytes(),
        "type": str(pick_dtype()).removeprefix("torch."),
    }
    print(json.dumps(found))


def draw_ours(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[list[int]],
    max_new_tokens: int,
    seed: int,
) -> int:
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(model, ids, tokenizer, max_new_tokens=max_new_tokens, generator=generator)
    return int(drawn.mask.sum())


@torch.no_grad()
def draw_with_generate(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[list[int]],
    max_new_tokens: int,
    seed: int,
) -> int:
    torch.manual_seed(seed)
    padded, mask = pad_left(ids, tokenizer.pad_token_id, torch.device("cpu"))
    written = model.generate(
        input_ids=padded,
        attention_mask=mask,
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    return int((written[:, padded.shape[1] :] != tokenizer.pad_token_id).sum())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
