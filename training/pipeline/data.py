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
from statistics import fmean
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from training.pipeline.errors import PipelineError

HELD_OUT = ("validation", "test")
MAX_GROUP = 9
"""Most completions of one prompt in one batch element; InstructGPT's rankings had 4 to 9."""
MAX_GROUP_TOKENS = 2048
"""Most tokens of their completions, each counted as long as the longest."""


def read_rows(path: str | None, *, with_ties: bool = False) -> list[dict[str, Any]]:
    """Return the rows of a snapshot's JSONL file.

    Ties are rows of their own where a snapshot keeps them; only who can learn from two answers of
    which neither is better asks for them.
    """
    if path is None or not Path(path).is_file():
        raise PipelineError(f"The snapshot's file {path} is not there. Freeze a new snapshot.")
    with Path(path).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return rows if with_ties else [row for row in rows if not row.get("tie")]


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


class Pair(NamedTuple):
    """Two completions of a prompt and what everybody who judged them said."""

    chosen: int
    """Index, in the group's completions, of the one that most votes are for."""
    rejected: int
    target: float
    """Share of the votes that are for the chosen one; a tie is half a vote for either. Where a
    snapshot weighed its votes: how often typical people would choose it."""
    margin: float
    """Mean margin of the votes; one for the rejected completion counts against it."""
    agreeing: tuple[str, ...]
    """Stated strength of each vote for the chosen completion, empty where none was stated."""
    opposing: tuple[str, ...] = ()
    """The same of each vote for the rejected one."""
    weight: float = 1.0
    """How much the votes have told, where a snapshot weighed them."""


@dataclass(frozen=True)
class PreferenceGroup:
    """All preference pairs of one prompt; each completion is encoded once."""

    prompt_id: int
    prompt: list[int]
    completions: list[list[int]]
    pairs: list[Pair]


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

    All votes on two completions are one pair. A prompt with more than MAX_GROUP completions, or
    with longer ones than MAX_GROUP_TOKENS hold, gives several groups: a batch element that holds
    them all would not fit into memory.
    """
    groups: list[PreferenceGroup] = []
    open_group: dict[int, PreferenceGroup] = {}
    encoded: dict[str, list[int]] = {}
    left_out = 0
    for votes in _votes_by_pair(rows):
        row = votes[0]
        texts = [row[side][0]["content"] for side in ("chosen", "rejected")]
        for text in texts:
            if text not in encoded:
                encoded[text] = encode_completion(tokenizer, text)
        ids = [encoded[text] for text in texts]
        group = open_group.get(row["prompt_id"])
        prompt = group.prompt if group else encode_prompt(tokenizer, row["prompt"])
        if len(prompt) + max(map(len, ids)) > max_length:
            left_out += 1
            continue
        new = sum(tokens not in group.completions for tokens in ids) if group else 0
        if group is None or _is_full(group, ids, new):
            group = open_group[row["prompt_id"]] = PreferenceGroup(row["prompt_id"], prompt, [], [])
            groups.append(group)
        for tokens in ids:
            if tokens not in group.completions:
                group.completions.append(tokens)
        first, second = (group.completions.index(tokens) for tokens in ids)
        group.pairs.append(_judged(votes, first, second))
    return groups, left_out


def _votes_by_pair(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    votes: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        votes.setdefault(pair_key(row), []).append(row)
    return list(votes.values())


def _judged(votes: list[dict[str, Any]], first: int, second: int) -> Pair:
    """Return the pair that votes come to; `first` is what the first of them calls chosen."""
    text = votes[0]["chosen"][0]["content"]
    ties = sum(bool(row.get("tie")) for row in votes)
    sides: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for row in votes:
        if not row.get("tie"):
            is_for_first = row["chosen"][0]["content"] == text
            sides[is_for_first != bool(row.get("turned"))].append(row)
    target = (len(sides[True]) + ties / 2) / len(votes)
    margins = [float(row["margin"]) for row in sides[True]]
    margins += [-float(row["margin"]) for row in sides[False]] + [0.0] * ties
    agreeing, opposing = (
        tuple(row.get("strength") or "" for row in sides[side]) for side in (True, False)
    )
    if (weighed := votes[0].get("target")) is not None:
        margin, weight = max(fmean(margins), 0.0), votes[0]["weight"]
        return Pair(first, second, weighed, margin, agreeing, opposing, weight)
    if len(opposing) > len(agreeing):
        return Pair(second, first, 1 - target, -fmean(margins), opposing, agreeing)
    return Pair(first, second, target, fmean(margins), agreeing, opposing)


def demonstration_groups(
    rows: list[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    most: int,
    seed: int,
) -> list[PreferenceGroup]:
    """Return up to `most` demonstrations that fit, drawn by the seed, as groups without pairs."""
    drawn = random.Random(seed).sample(rows, len(rows))
    groups: list[PreferenceGroup] = []
    for row in drawn:
        prompt = encode_prompt(tokenizer, row["prompt"])
        completion = encode_completion(tokenizer, row["completion"][0]["content"])
        if len(prompt) + len(completion) <= max_length and len(groups) < most:
            groups.append(PreferenceGroup(row["prompt_id"], prompt, [completion], []))
    return groups


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


@dataclass(frozen=True)
class Demonstrated:
    """A completion that a person wrote, beside its prompt."""

    prompt: list[int]
    completion: list[int]


def demonstrated(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, split: str
) -> list[Demonstrated]:
    """Return the demonstrations among the rows of a split: those that have a completion."""
    return [
        Demonstrated(
            encode_prompt(tokenizer, row["prompt"]),
            encode_completion(tokenizer, row["completion"][0]["content"]),
        )
        for row in rows
        if row["split"] == split and "completion" in row
    ]


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
