"""Snapshot rows → token ids, the same way for every stage.

A sequence is the prompt in the model's chat template up to the assistant's turn, then the
completion's tokens and the end token. What a reward model scores is thus exactly what a policy
samples.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from training.pipeline.errors import PipelineError

HELD_OUT = ("validation", "test")
MAX_GROUP = 9
"""Most completions of one prompt in one batch element; InstructGPT's rankings had 4 to 9."""
MAX_GROUP_TOKENS = 2048
"""Most tokens of their completions, each counted as long as the longest."""


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


def hold_out(
    rows: list[dict[str, Any]], seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Return the rows to train on, the rows to measure on, and what was held out: prompt or pair.

    Prompts of the other splits are held out. Where there are none, as with many votes on one
    prompt, a fifth of the pairs is, each with all of its votes; completions may then be known from
    other pairs, which flatters the figure.
    """
    training = [row for row in rows if row["split"] == "train"]
    held_out = [row for row in rows if row["split"] in HELD_OUT]
    if held_out:
        return training, held_out, "prompt"
    keys = sorted({pair_key(row) for row in training})
    random.Random(seed).shuffle(keys)
    held = set(keys[: len(keys) // 5])
    return (
        [row for row in training if pair_key(row) not in held],
        [row for row in training if pair_key(row) in held],
        "pair",
    )


def pair_key(row: dict[str, Any]) -> tuple[int, str, str]:
    """Return what two votes on the same two completions share, whichever was chosen."""
    first, second = sorted(row[side][0]["content"] for side in ("chosen", "rejected"))
    return row["prompt_id"], first, second


def preference_groups(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[PreferenceGroup], int]:
    """Return the pairs of each prompt together, and how many pairs were too long to keep.

    A prompt with more than MAX_GROUP completions, or with longer ones than MAX_GROUP_TOKENS hold,
    gives several groups: a batch element that holds them all would not fit into memory.
    """
    groups: list[PreferenceGroup] = []
    open_group: dict[int, PreferenceGroup] = {}
    left_out = 0
    for row in rows:
        prompt_id = row["prompt_id"]
        texts = [row[side][0]["content"] for side in ("chosen", "rejected")]
        ids = [encode_completion(tokenizer, text) for text in texts]
        group = open_group.get(prompt_id)
        prompt = group.prompt if group else encode_prompt(tokenizer, row["prompt"])
        if len(prompt) + max(map(len, ids)) > max_length:
            left_out += 1
            continue
        new = sum(tokens not in group.completions for tokens in ids) if group else 0
        if group is None or _is_full(group, ids, new):
            group = open_group[prompt_id] = PreferenceGroup(prompt_id, prompt, [], [], [])
            groups.append(group)
        for tokens in ids:
            if tokens not in group.completions:
                group.completions.append(tokens)
        chosen, rejected = (group.completions.index(tokens) for tokens in ids)
        group.pairs.append((chosen, rejected, float(row["margin"])))
        group.strengths.append(row.get("strength") or "")
    return groups, left_out


def _is_full(group: PreferenceGroup, ids: list[list[int]], new: int) -> bool:
    count = len(group.completions) + new
    longest = max(map(len, [*group.completions, *ids]))
    return new > 0 and (count > MAX_GROUP or count * longest > MAX_GROUP_TOKENS)


@dataclass(frozen=True)
class PairRow:
    """A preference pair as token ids."""

    prompt_id: int
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    key: tuple[int, str, str]
    """See `pair_key`."""


def preference_pairs(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[PairRow], int]:
    """Return the pairs that fit in `max_length` tokens, and how many did not."""
    encoded = [
        PairRow(
            row["prompt_id"],
            encode_prompt(tokenizer, row["prompt"]),
            encode_completion(tokenizer, row["chosen"][0]["content"]),
            encode_completion(tokenizer, row["rejected"][0]["content"]),
            pair_key(row),
        )
        for row in rows
    ]
    kept = [
        pair
        for pair in encoded
        if len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) <= max_length
    ]
    return kept, len(encoded) - len(kept)


@dataclass(frozen=True)
class JudgedRow:
    """A completion that was judged good or bad, as token ids."""

    prompt_id: int
    prompt: list[int]
    completion: list[int]
    good: bool


def judged(
    rows: list[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    splits: tuple[str, ...],
    max_length: int,
) -> tuple[list[JudgedRow], int]:
    """Return the rows of `splits` that fit in `max_length` tokens, and how many did not."""
    encoded = [
        JudgedRow(
            row["prompt_id"],
            encode_prompt(tokenizer, row["prompt"]),
            encode_completion(tokenizer, row["completion"][0]["content"]),
            row["label"],
        )
        for row in rows
        if row["split"] in splits
    ]
    kept = [row for row in encoded if len(row.prompt) + len(row.completion) <= max_length]
    return kept, len(encoded) - len(kept)


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
