"""Snapshot rows → token ids, the same way for every stage.

A sequence is the prompt in the model's chat template up to the assistant's turn, then the
completion's tokens and the end token. What a reward model scores is thus exactly what a policy
samples.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from training.pipeline.errors import PipelineError

HELD_OUT = ("validation", "test")


def read_rows(path: str | None) -> list[dict[str, Any]]:
    """Return the rows of a snapshot's JSONL file."""
    if path is None or not Path(path).is_file():
        raise PipelineError(f"The snapshot's file {path} is not there. Freeze a new snapshot.")
    with Path(path).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]) -> list[int]:
    """Return the ids of a prompt, up to where the assistant begins."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def encode_completion(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a completion, the end token included."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]


def decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """Return the text of sampled ids, without special tokens and outer white space."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text.strip()


@dataclass(frozen=True)
class Demonstrations:
    """Tokenised demonstrations of one split: rows for TRL's SFTTrainer."""

    rows: list[dict[str, list[int]]]
    left_out_too_long: int


def demonstrations(
    rows: list[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    splits: tuple[str, ...],
    max_length: int,
) -> Demonstrations:
    """Return `input_ids` and `completion_mask` of the rows in `splits`."""
    encoded = []
    for row in rows:
        if row["split"] in splits:
            prompt = encode_prompt(tokenizer, row["prompt"])
            completion = encode_completion(tokenizer, row["completion"][0]["content"])
            encoded.append(
                {
                    "input_ids": prompt + completion,
                    "completion_mask": [0] * len(prompt) + [1] * len(completion),
                }
            )
    kept = [row for row in encoded if len(row["input_ids"]) <= max_length]
    return Demonstrations(kept, len(encoded) - len(kept))


@dataclass(frozen=True)
class PreferenceGroup:
    """All preference pairs of one prompt; each completion is encoded once."""

    prompt_id: int
    prompt: list[int]
    completions: list[list[int]]
    pairs: list[tuple[int, int, float]]
    """(chosen, rejected, margin); the numbers index `completions`."""
    strengths: list[str]


def preference_groups(
    rows: list[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    splits: tuple[str, ...],
    max_length: int,
) -> tuple[list[PreferenceGroup], int]:
    """Return the pairs of `splits` by prompt, and how many pairs were too long to keep."""
    by_prompt: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["split"] in splits:
            by_prompt[row["prompt_id"]].append(row)
    groups, left_out = [], 0
    for prompt_id, pair_rows in by_prompt.items():
        prompt = encode_prompt(tokenizer, pair_rows[0]["prompt"])
        index: dict[str, int] = {}
        completions: list[list[int]] = []
        pairs, strengths = [], []
        for row in pair_rows:
            texts = [row[side][0]["content"] for side in ("chosen", "rejected")]
            ids = [encode_completion(tokenizer, text) for text in texts]
            if len(prompt) + max(map(len, ids)) > max_length:
                left_out += 1
                continue
            for text, tokens in zip(texts, ids, strict=True):
                if text not in index:
                    index[text] = len(completions)
                    completions.append(tokens)
            pairs.append((index[texts[0]], index[texts[1]], float(row["margin"])))
            strengths.append(row.get("strength") or "")
        if pairs:
            groups.append(PreferenceGroup(prompt_id, prompt, completions, pairs, strengths))
    return groups, left_out


@dataclass(frozen=True)
class PromptRow:
    """A prompt ready to be answered."""

    prompt_id: int
    text: str
    ids: list[int]


def prompts(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, splits: tuple[str, ...] | None
) -> list[PromptRow]:
    """Return the distinct prompts of `splits` (None: all rows)."""
    seen: dict[int, PromptRow] = {}
    for row in rows:
        wanted = splits is None or row["split"] in splits
        if wanted and row["prompt_id"] not in seen:
            seen[row["prompt_id"]] = PromptRow(
                row["prompt_id"],
                row["prompt"][-1]["content"],
                encode_prompt(tokenizer, row["prompt"]),
            )
    return list(seen.values())
