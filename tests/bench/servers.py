"""Write some streams, our way or with `generate`; one JSON line of what they took."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch

from tests.bench.subjects import haiku_prompts
from tests.bench.yardstick import peak_megabytes
from training.pipeline.data import encode_prompt
from training.pipeline.jobs import StreamRequest
from training.pipeline.loading import pick_dtype
from training.pipeline.residents import ResidentModels
from training.pipeline.writing import Writer


class Stopwatch:
    """When the first token of each stream came, and how many came in all."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.firsts: dict[str, float] = {}
        self.tokens = 0

    def first(self, name: str) -> None:
        self.firsts.setdefault(name, time.monotonic() - self.started)


def main(settings: dict[str, Any]) -> None:
    models = ResidentModels()
    write = {"ours": write_ours, "generate": write_with_generate}[settings["way"]]
    texts = haiku_prompts()
    firsts: list[list[float]] = []
    seconds, tokens = 0.0, 0
    for turn in range(settings["turns"] + 1):
        begin = turn * settings["streams"]
        chosen = [texts[(begin + n) % len(texts)] for n in range(settings["streams"])]
        watch = Stopwatch()
        write(models, settings, chosen, watch)
        if turn:  # the first warms up
            seconds, tokens = seconds + time.monotonic() - watch.started, tokens + watch.tokens
            firsts.append(sorted(watch.firsts.values()))
    found = {
        "first_token_s": sum(sum(some) / len(some) for some in firsts) / len(firsts),
        "last_first_token_s": sum(some[-1] for some in firsts) / len(firsts),
        "tokens_per_second": tokens / seconds,
        "peak_mb": peak_megabytes(),
        "type": str(pick_dtype()).removeprefix("torch."),
    }
    print(json.dumps(found))


def write_ours(
    models: ResidentModels, settings: dict[str, Any], texts: list[str], watch: Stopwatch
) -> None:
    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "text":
            watch.first(event["request"])
        elif event["event"] == "ended":
            watch.tokens += event["usage"]["completion_tokens"]

    writer = Writer(models, hear)
    for number, text in enumerate(texts):
        writer.add(
            StreamRequest(
                id=f"{number}",
                base_path=settings["model"],
                adapter_path=None,
                messages=[{"role": "user", "content": text}],
                seed=number,
                temperature=1.0,
                top_p=1.0,
                max_new_tokens=settings["max_new_tokens"],
                stop=[],
            )
        )
    while writer.is_busy:
        writer.step()


@torch.no_grad()
def write_with_generate(
    models: ResidentModels, settings: dict[str, Any], texts: list[str], watch: Stopwatch
) -> None:
    base = models.base(settings["model"], lambda event: None)
    for number, text in enumerate(texts):
        torch.manual_seed(number)
        ids = torch.tensor([encode_prompt(base.tokenizer, [{"role": "user", "content": text}])])
        written = base.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=settings["max_new_tokens"],
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=base.tokenizer.pad_token_id,
            streamer=Streamer(str(number), watch),
        )
        watch.tokens += written.shape[1] - ids.shape[1]


class Streamer:
    """What `generate` tells of its tokens; the prompt is told first."""

    def __init__(self, name: str, watch: Stopwatch) -> None:
        self.name = name
        self.watch = watch
        self.told = 0

    def put(self, tokens: torch.Tensor) -> None:
        self.told += 1
        if self.told == 2:
            self.watch.first(self.name)

    def end(self) -> None:
        pass


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
