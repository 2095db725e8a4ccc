"""How much memory and disk a run will need, reckoned before a weight is loaded. No torch here.

    peak = weights + adapters + activations + logits + cache + what the libraries take

- *weights*: parameters × bytes of the number type (2 in bfloat16, 4 in float32), once: every
  adapter stands on the same frozen copy. Twice where vLLM draws the completions: it has its own.
  With every weight trained: 16 bytes for each, as for an adapter's.
- *adapters*: 16 bytes for each trained parameter (float32 weight, gradient and Adam's two moments),
  4 for each of a frozen adapter (the reference and the reward model, where there are such); of ppo,
  grpo and rloo 8 more for copies that guards go back to, of ppo in bfloat16 4 more.
- *activations*: tokens in memory at a time × layers × (12 hidden + 2 keys-values + 4 intermediate)
  numbers: what the backward pass of a gated transformer layer with LoRA on all of its linear layers
  keeps (counted as Korthikanti et al. 2022, arXiv:2205.05198, §4.1). A GPU never writes the
  attention matrix; a CPU does: 3 heads × length more. With gradient checkpointing: one layer of
  that, and `hidden` for each of the others. Layers below the lowest adapted one keep nothing.
- *logits*: of ppo: positions whose loss is computed × vocabulary × (number type + 12 bytes, 20 in
  bfloat16), the logits, their float32 copy, its log-softmax and its gradient. Of the other stages,
  which have TRL make them tile by tile (`fused_head.py`): one tile × (number type + eight copies in
  float32), about what a GPU's larger tiles take without copies.
- *cache*: keys and values of the completions that are drawn side by side.

It takes every row to be as long as the longest of the snapshot, or as `max_length` where that is
less. Of ppo the template of a prompt counts once, since what all begin with is read once, and
without a `micro_batch_size` as many tokens are read at a time as `rollouts` takes.
docs/training.md has it beside what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from training.pipeline.config import (
    AnyConfig,
    DPOConfig,
    ExportConfig,
    GroupConfig,
    KTOConfig,
    PPOConfig,
    RejectionConfig,
    ReplayConfig,
    RewardConfig,
    SampleConfig,
    SFTConfig,
    SuiteConfig,
    TrainConfig,
    WeighConfig,
    rows_at_once,
)
from training.pipeline.launch import processes_of, sharding_of
from training.pipeline.shapes import Shape

TRAINED_BYTES = 16
FROZEN_ADAPTER_BYTES = 4
KEPT_BYTES, HALF_BYTES = 8, 4
"""The policy in float32 as it is and as a guard would go back to it; a weight that passes in half
precision read beside its master, and its gradient."""
LOSS_BYTES, HALF_LOSS_BYTES = 12, 20
"""What is made of a logit beside itself; of one in half precision, which is copied to float32, too:
measured."""
TILE_POSITIONS, TILE_WIDTH, TILE_BYTES = 256, 32_768, 32
"""Of the tiles in which TRL makes logits on a processor, and of a number's copies in float32."""
MOST_LOGITS = 2**26
"""Of demonstrations, made at once: as `completion_loss` has it, where torch is imported."""
LIBRARIES_BYTES = 600 * 2**20
"""A Python process with torch, transformers and their buffers."""
TOKENS_AT_ONCE = 4096
"""As `reward` and `trainers` have it, which stand where torch is imported."""
PPO_TOKENS_AT_ONCE, PPO_TOKENS_IN_FLOAT32 = 16_384, 512
"""Of ppo without a `micro_batch_size`, as `rollouts` has it: on a GPU, and on a processor in
float32. One in half precision takes fewer than a GPU."""
CHARS_PER_TOKEN = 3
"""Of a text whose tokens nobody has counted yet; few on purpose."""
COMPLETIONS = ("completion", "chosen", "rejected")
"""Columns of a snapshot's rows that hold what answers the prompt."""
TEMPLATE_TOKENS = 40
MOST_OF_GROUP, GROUP_TOKENS = 9, 2048
"""Completions of a prompt in one element of a reward model's batch, and their tokens unless one
alone has more: as `data` has it."""
ROWS_LOOKED_AT = 200
RESUME_POINTS = 2
LOG_BYTES = 50 * 2**20
ANSWER_TOKENS = 512
"""More than answers of cases have, as a rule; two are scored at a time."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a run needs at its peak, by what they are for."""

    weights: int
    adapters: int
    activations: int
    logits: int
    cache: int
    disk: int
    """What the run writes: resume points, checkpoint, log."""
    in_bfloat16: bool

    @property
    def fixed(self) -> int:
        """Return what is needed whatever the batch is."""
        return self.weights + self.adapters + LIBRARIES_BYTES

    @property
    def peak(self) -> int:
        return self.fixed + self.activations + self.logits + self.cache


@dataclass(frozen=True)
class _Load:
    """How much a stage has in memory at a time."""

    tokens: int
    """Tokens of a backward pass."""
    loss_positions: int
    length: int = 0
    """Of one of its rows."""
    cached_tokens: int = 0
    frozen_adapters: int = 0
    copies: int = 0
    """Bytes of each trained parameter beside those of its training."""
    checkpointing: bool = False
    tiled: bool = False
    """Whether its logits are made tile by tile."""
    whole_logits: int = 0
    """Positions whose logits are made at once before that, if they are not too many."""


def estimate(
    config: AnyConfig,
    shape: Shape,
    *,
    in_bfloat16: bool,
    prompt_tokens: int = 64,
    row_tokens: int | None = None,
    answers: int | None = None,
) -> Estimate | None:
    """Return what a run with this config needs; None for a stage that nobody has reckoned.

    `row_tokens` are those of the longest prompt with its completion, `answers` the completions of
    one prompt; None: as many as may be.
    """
    if isinstance(config, RejectionConfig):
        written = prompt_tokens + config.max_new_tokens
        return _of_two(
            estimate(
                part,
                shape,
                in_bfloat16=in_bfloat16,
                prompt_tokens=prompt_tokens,
                row_tokens=written,
            )
            for part in (config.sampling(), config.fine_tuning())
        )
    if isinstance(config, ExportConfig):
        return _of_export(config, shape)
    load = _load_of(config, prompt_tokens, row_tokens, answers, in_bfloat16=in_bfloat16)
    if load is None:
        return None
    size = 2 if in_bfloat16 else 4
    full = bool(getattr(config, "full", False))
    trained = shape.parameters if full else _adapter_parameters(config, shape)
    per_token = 12 * shape.hidden + 2 * shape.key_values + 4 * shape.intermediate
    if not in_bfloat16:  # a CPU, which has no fused attention for padded rows
        per_token += 3 * shape.heads * load.length
    kept = per_token * _adapted_layers(config, shape)
    if load.checkpointing:
        kept = per_token + shape.hidden * _adapted_layers(config, shape)
    cached = load.cached_tokens * 2 * shape.key_values * shape.layers * size
    copies = 2 if getattr(config, "rollouts", "") else 1
    shares = processes_of(config) if sharding_of(config) else 1
    return Estimate(
        weights=shape.parameters * (TRAINED_BYTES if full else size) * copies // shares,
        adapters=0
        if full
        else trained * (TRAINED_BYTES + FROZEN_ADAPTER_BYTES * load.frozen_adapters + load.copies),
        activations=load.tokens * kept * size,
        logits=_logits(load, shape, size),
        cache=cached,
        disk=RESUME_POINTS * trained * 12 + trained * 4 + LOG_BYTES,
        in_bfloat16=in_bfloat16,
    )


def _of_two(parts: Iterable[Estimate | None]) -> Estimate:
    """Return what a run needs that does one part after the other."""
    found = [part for part in parts if part is not None]
    largest = max(found, key=lambda part: part.peak)
    return replace(largest, disk=max(part.disk for part in found))


def _of_export(config: ExportConfig, shape: Shape) -> Estimate:
    """Return what merging needs: the weights in float32 beside the file they are read from."""
    written = shape.parameters * (2 if config.half_precision else 4)
    return Estimate(
        weights=6 * shape.parameters,
        adapters=0,
        activations=0,
        logits=0,
        cache=0,
        disk=written + LOG_BYTES,
        in_bfloat16=False,
    )


class Texts(NamedTuple):
    """What the first rows of a snapshot hold at most."""

    prompt_tokens: int = TEMPLATE_TOKENS
    row_tokens: int = TEMPLATE_TOKENS
    """Of a prompt with the longest completion in its row."""
    answers: int = 1
    """Different completions of one prompt."""


def longest_texts(path: Path) -> Texts:
    """Return about how many tokens and completions the first rows of a snapshot have at most."""
    prompts = rows = 0
    answers: dict[Any, set[str]] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in islice(file, ROWS_LOOKED_AT):
                row = json.loads(line)
                prompt = _characters(row.get("prompt", []))
                texts = [row.get(column, []) for column in COMPLETIONS]
                prompts = max(prompts, prompt)
                rows = max(rows, prompt + max(map(_characters, texts)))
                own = answers.setdefault(row.get("prompt_id"), set())
                own |= {text[0]["content"] for text in texts if text}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Texts()
    return Texts(
        prompts // CHARS_PER_TOKEN + TEMPLATE_TOKENS,
        rows // CHARS_PER_TOKEN + TEMPLATE_TOKENS,
        max(map(len, answers.values()), default=1),
    )


def in_words(size: float) -> str:
    """Return a number of bytes as people write it.

    >>> in_words(50 * 2**20), in_words(850 * 2**20), in_words(9.63 * 2**30), in_words(140 * 2**30)
    ('50 MB', '0.8 GB', '9.6 GB', '140 GB')
    """
    gigabytes = size / 2**30
    if gigabytes < 0.1:
        return f"{ceil(size / 2**20)} MB"
    return f"{gigabytes:.0f} GB" if gigabytes >= 100 else f"{gigabytes:.1f} GB"


def _characters(messages: list[dict[str, str]]) -> int:
    return sum(len(message["content"]) for message in messages)


def _logits(load: _Load, shape: Shape, size: int) -> int:
    """Return the bytes of the logits that are in memory at a time, with what is made of them."""
    if load.tiled:
        tile = min(load.loss_positions, TILE_POSITIONS) * min(shape.vocabulary, TILE_WIDTH)
        whole = min(load.whole_logits * shape.vocabulary, MOST_LOGITS)
        return max(tile * (size + TILE_BYTES), whole * (size + LOSS_BYTES))
    passes = 2 if load.checkpointing else 1
    made = LOSS_BYTES if size == 4 else HALF_LOSS_BYTES
    return load.loss_positions * shape.vocabulary * (size + made) * passes


def _load_of(
    config: AnyConfig,
    prompt_tokens: int,
    row_tokens: int | None,
    answers: int | None,
    *,
    in_bfloat16: bool,
) -> _Load | None:
    longest = getattr(config, "max_length", 0)
    length = longest if row_tokens is None else min(longest, row_tokens)
    match config:
        case SFTConfig():
            if config.packing:
                length = longest
            rows = _micro_batch(config) or _share(config)
            tokens = rows * length
            learned = length if row_tokens is None else max(0, length - prompt_tokens)
            return _Load(
                tokens,
                tokens,
                length,
                checkpointing=_computes_again(config),
                tiled=True,
                whole_logits=rows * learned,
            )
        case RewardConfig():  # groups of several completions, behind a prompt that is read once
            each = length if row_tokens is None else max(1, length - prompt_tokens)
            together = each * min(answers or MOST_OF_GROUP, MOST_OF_GROUP)
            group = min(prompt_tokens, length) + min(together, max(2 * each, GROUP_TOKENS))
            tokens = min(max(TOKENS_AT_ONCE, group), _share(config) * group)
            return _Load(tokens, 0, length)
        case DPOConfig() | KTOConfig():  # at least a pair, or two rows; a stranger's keeps nothing
            each = 2 if isinstance(config, DPOConfig) else 1
            tokens = max(2 * length, min(TOKENS_AT_ONCE, _share(config) * each * length))
            return _Load(tokens, tokens, length, frozen_adapters=1, tiled=True)
        case PPOConfig() | GroupConfig():
            return _load_of_drawing(config, prompt_tokens, in_bfloat16=in_bfloat16)
        case SampleConfig() | SuiteConfig():
            rows = rows_at_once(config.batch_size, prompt_tokens, config.max_new_tokens)
            cached = rows * (prompt_tokens + config.max_new_tokens)
            return _Load(0, rows, cached_tokens=cached)
        case ReplayConfig() | WeighConfig():
            return _Load(0, 0, cached_tokens=2 * (prompt_tokens + ANSWER_TOKENS))
    return None


def _load_of_drawing(
    config: PPOConfig | GroupConfig, prompt_tokens: int, *, in_bfloat16: bool
) -> _Load:
    """Return the load of a stage that learns from completions that it draws itself."""
    length = prompt_tokens + config.max_new_tokens
    rows = _micro_batch(config) or config.minibatch_size // processes_of(config)
    tokens, positions = rows * length, rows * config.max_new_tokens
    is_ppo = isinstance(config, PPOConfig)
    if is_ppo and not _computes_again(config):
        once = min(TEMPLATE_TOKENS, prompt_tokens)
        tokens -= (rows - 1) * once
        if not _micro_batch(config):
            most = max(length, PPO_TOKENS_AT_ONCE if in_bfloat16 else PPO_TOKENS_IN_FLOAT32)
            tokens, positions = min(tokens, most + once), min(positions, most)
    return _Load(
        tokens=tokens,
        loss_positions=positions,
        length=length,
        cached_tokens=_share(config) * length,
        frozen_adapters=2,
        checkpointing=_computes_again(config),
        tiled=not is_ppo,
        copies=KEPT_BYTES + (HALF_BYTES if is_ppo and in_bfloat16 else 0),
    )


def _share(config: TrainConfig) -> int:
    """Return how many rows of a batch a process has."""
    return config.batch_size // processes_of(config)


def _micro_batch(config: object) -> int:
    """Return how many rows are in memory at a time; 0 where the stage has no such setting."""
    return int(getattr(config, "micro_batch_size", 0))


def _computes_again(config: object) -> bool:
    return bool(getattr(config, "gradient_checkpointing", False))


def _adapter_parameters(config: AnyConfig, shape: Shape) -> int:
    if not isinstance(config, TrainConfig):
        return 0
    targets = config.lora_targets.split()
    return shape.adapter_parameters(targets, config.lora_rank, config.lora_layers)


def _adapted_layers(config: AnyConfig, shape: Shape) -> int:
    if getattr(config, "full", False) or not isinstance(config, TrainConfig):
        return shape.layers
    upper = config.lora_layers
    return min(upper, shape.layers) if upper else shape.layers
