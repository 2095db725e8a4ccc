"""Read prompts once, sample completions, score completions: the passes that PPO is made of.

A batch of prompts is read in two passes through the key-value cache: what all of them share (the
template and the system turn, often half of all tokens) once in a batch of one, then the rest of
each. Several completions of one prompt share its cache too. Gradients flow through the cache, so
training uses the same passes as sampling, and the arithmetic is that of the whole sequences.

Given completions are read from where the adapters begin (`training.pipeline.layers`): what lies
below is reckoned once for all who read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from training.pipeline.errors import PipelineError
from training.pipeline.layers import LayerCache, Split, recomputing
from training.pipeline.loading import head_of, trunk_of
from training.pipeline.losses import token_entropy, token_log_probs
from training.pipeline.reporting import check_scores, why_no_numbers

MIN_SHARED = 8
"""Tokens that prompts must share before reading them apart pays for a second pass."""
TOKENS_AT_ONCE = {"cpu": 512, "cpu in half precision": 1024, "cuda": 16_384}
"""Tokens whose activations a pass that learns keeps in memory, unless rows are longer. In half
precision twice as many fit, and few at a time leave a processor's matrix unit waiting."""
NUCLEUS_AT_ONCE = 1024
"""Likeliest tokens among which a nucleus is looked for first: to sort 49,152 probabilities takes
nine times as long as to find so many of them."""
NUCLEUS_DRAWS = 4
"""Draws from the whole distribution of which the first within the nucleus is taken. To see whether
one is takes 10 ms for 64 rows of 49,152 tokens, to find the nucleus 40 to 240. With a `top_p` of
.95 all four miss it six times in a million."""
LOGITS_AT_ONCE = 256
"""Tokens whose logits a pass that only reads holds: 49,152 numbers each with the demo model."""
READ_AT_ONCE = 2
"""How many times as many a pass that only reads may take: it keeps the last layer's alone."""


@dataclass
class PromptState:
    """What a trunk knows after reading prompts. Consumed by the next pass over it."""

    cache: DynamicCache
    mask: Tensor  # (B, P)
    last_hidden: Tensor  # (B, H)


@dataclass(frozen=True)
class Sampled:
    """Completions of N = prompts × repeat rows, right-padded to T tokens."""

    tokens: Tensor  # (N, T)
    mask: Tensor  # (N, T)
    log_probs: Tensor  # (N, T)
    values: Tensor  # (N, T); zeros without a value head
    ended: Tensor  # (N,) whether the end token came


@dataclass(frozen=True)
class Read:
    """A pass over given completions."""

    log_probs: Tensor  # (N, T)
    values: Tensor  # (N, T); zeros without a value head
    entropy: Tensor  # () mean over real tokens; 0 unless asked for


@contextmanager
def using(model: PeftModel, adapter: str | None, *, back: str = "policy") -> Iterator[None]:
    """Switch to another adapter of the one copy of the weights; None is the bare base."""
    if adapter is None:
        with model.disable_adapter():
            yield
        return
    model.set_adapter(adapter)
    try:
        yield
    finally:
        model.set_adapter(back)


def shared_prefix(prompts: list[list[int]]) -> int:
    """Return how many leading ids all prompts share, leaving each at least one of its own."""
    limit = min(len(p) for p in prompts) - 1
    first, last = min(prompts), max(prompts)
    length = next((i for i in range(limit) if first[i] != last[i]), limit)
    return length if length >= MIN_SHARED and len(prompts) > 1 else 0


def pad_left(rows: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and mask, (B, longest)."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
    return ids, mask


def pad_right(rows: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and mask, (B, longest)."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=device)
    return ids, mask


def read_prompts(
    trunk: nn.Module, prompts: list[list[int]], *, pad: int, repeat: int = 1
) -> PromptState:
    """Read prompts into a cache; each row stands `repeat` times, side by side."""
    device = next(trunk.parameters()).device
    shared = shared_prefix(prompts)
    cache = DynamicCache(config=trunk.config)
    if shared:
        prefix = torch.tensor([prompts[0][:shared]], device=device)
        trunk(input_ids=prefix, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(prompts))
    ids, own = pad_left([p[shared:] for p in prompts], pad, device)
    mask = torch.cat([torch.ones(len(prompts), shared, dtype=own.dtype, device=device), own], dim=1)
    out = trunk(
        input_ids=ids,
        attention_mask=mask,
        position_ids=_positions(mask, ids.shape[1]),
        past_key_values=cache,
        use_cache=True,
    )
    last_hidden = out.last_hidden_state[:, -1]  # prompts are left-padded: the last is real
    if repeat > 1:
        cache.batch_repeat_interleave(repeat)
        mask, last_hidden = (t.repeat_interleave(repeat, dim=0) for t in (mask, last_hidden))
    return PromptState(cache, mask, last_hidden)


def read_tokens(trunk: nn.Module, state: PromptState, tokens: Tensor, mask: Tensor) -> Tensor:
    """Return the hidden states (N, T, H) of completion tokens behind their prompts."""
    whole = torch.cat([state.mask, mask.to(state.mask.dtype)], dim=1)
    hidden: Tensor = trunk(
        input_ids=tokens,
        attention_mask=whole,
        position_ids=_positions(whole, tokens.shape[1]),
        past_key_values=state.cache,
        use_cache=True,
    ).last_hidden_state
    return hidden


@dataclass(frozen=True)
class Entered:
    """N prompts with a completion each, as they enter the layers that adapters have a part in."""

    shared: Tensor | None  # (1, S, H) what all prompts begin with, if that is worth a pass
    rest: Tensor  # (N, P + T, H) the rest of each prompt, left-padded, and its completion
    prompt_mask: Tensor  # (N, P)
    tokens: Tensor  # (N, T) the completions, right-padded
    mask: Tensor  # (N, T)

    def rows(self, rows: Tensor) -> Entered:
        """Return some of the rows, without the padding that only the others need."""
        left = self.prompt_mask.shape[1] - int(self.prompt_mask[rows].sum(dim=1).max())
        longest = int(self.mask[rows].sum(dim=1).max())
        end = self.prompt_mask.shape[1] + longest
        return Entered(
            self.shared,
            self.rest[rows, left:end],
            self.prompt_mask[rows, left:],
            self.tokens[rows, :longest],
            self.mask[rows, :longest],
        )


def in_parts(entered: Entered, rows: Tensor, at_once: int = 0) -> list[Tensor]:
    """Return `rows` in parts of `at_once`, like lengths together, so that there is little padding.

    0 chooses as many as TOKENS_AT_ONCE allows.
    """
    rows = rows.to(entered.mask.device)
    prompts, completions = (m[rows].sum(dim=1) for m in (entered.prompt_mask, entered.mask))
    ordered = rows[completions.argsort(descending=True, stable=True)]
    longest = int(prompts.max() + completions.max())
    where = "cuda"
    if rows.device.type == "cpu":
        where = "cpu" if entered.rest.dtype == torch.float32 else "cpu in half precision"
    budget = TOKENS_AT_ONCE[where]
    return list(ordered.split(at_once or max(1, budget // longest)))


@torch.no_grad()
def enter(
    split: Split, prompts: list[list[int]], tokens: Tensor, mask: Tensor, *, pad: int
) -> Entered:
    """Take completions through the layers below the adapters, or through the embeddings alone."""
    shared = shared_prefix(prompts)
    own, prompt_mask = pad_left([p[shared:] for p in prompts], pad, tokens.device)
    prefix = torch.tensor([prompts[0][:shared]], device=tokens.device) if shared else None
    rest = torch.cat([own, tokens], dim=1)
    rest_mask = torch.cat([prompt_mask, mask.to(prompt_mask.dtype)], dim=1)
    lower = (split.lower, LayerCache(split.upper.config))
    before, behind = read_behind(*lower, "input_ids", prefix, rest, rest_mask)
    return Entered(before, behind, prompt_mask, tokens, mask)


def read_entered(split: Split, entered: Entered, *, recompute: bool = False) -> Tensor:
    """Return the last hidden states (N, 1 + T, H) of each prompt's end and its completion.

    Under the active adapter, with gradients for what of it is trained. `recompute` keeps hardly
    any activations for them; whole sequences are read then, since no cache can be.
    """
    mask = torch.cat([entered.prompt_mask, entered.mask.to(entered.prompt_mask.dtype)], dim=1)
    if recompute:
        width = entered.mask.shape[1] + 1
        return _read_recomputing(split.upper, entered.shared, entered.rest, mask)[:, -width:]
    cache = LayerCache(split.upper.config, split.first)
    part = split.upper
    _, hidden = read_behind(part, cache, "inputs_embeds", entered.shared, entered.rest, mask)
    return hidden[:, entered.prompt_mask.shape[1] - 1 :]


def read_behind(
    part: nn.Module,
    cache: LayerCache,
    name: str,
    shared: Tensor | None,
    rest: Tensor,
    mask: Tensor,
) -> tuple[Tensor | None, Tensor]:
    """Return what a part of the trunk makes of what all rows share, and of the rest of each."""
    if shared is not None:
        before = part(**{name: shared}, past_key_values=cache, use_cache=True).last_hidden_state
        cache.batch_repeat_interleave(len(rest))
        mask = torch.cat([mask.new_ones(len(rest), shared.shape[1]), mask], dim=1)
    else:
        before = None
    hidden: Tensor = part(
        **{name: rest},
        attention_mask=mask,
        position_ids=_positions(mask, rest.shape[1]),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return before, hidden


def _read_recomputing(part: nn.Module, shared: Tensor | None, rest: Tensor, mask: Tensor) -> Tensor:
    if shared is not None:
        rest = torch.cat([shared.expand(len(rest), -1, -1), rest], dim=1)
        mask = torch.cat([mask.new_ones(len(rest), shared.shape[1]), mask], dim=1)
    with recomputing(part):
        hidden: Tensor = part(
            inputs_embeds=rest,
            attention_mask=mask,
            position_ids=_positions(mask, rest.shape[1]),
            use_cache=False,
        ).last_hidden_state
    return hidden


def read_completions(
    model: PeftModel,
    split: Split,
    entered: Entered,
    *,
    temperature: float = 1.0,
    value_head: nn.Module | None = None,
    with_entropy: bool = False,
    recompute: bool = False,
) -> Read:
    """Return log-probs and values of completions under the active adapter.

    The language-model head is applied to the completion's real tokens alone, side by side: given
    part of a larger tensor, torch would copy its weights for every row.
    """
    tokens, mask = entered.tokens, entered.mask
    hidden = read_entered(split, entered, recompute=recompute)
    real = mask.bool()
    before, chosen = hidden[:, :-1][real], tokens[real]  # (R, H): what each was drawn from; (R,)
    at_once = len(before) if torch.is_grad_enabled() else LOGITS_AT_ONCE
    found, entropies = [], []
    for some, drawn in zip(before.split(at_once), chosen.split(at_once), strict=True):
        logits = head_of(model)(some).float()  # (R, V)
        if temperature != 1:  # at 1 it would only copy a large tensor
            logits = logits / temperature
        found.append(token_log_probs(logits, drawn))
        if with_entropy:  # a tenth of the pass: for watching only
            with torch.no_grad():
                entropies.append(token_entropy(logits))
    log_probs = _back_in_place(torch.cat(found), real)
    if value_head is None:
        values = torch.zeros_like(log_probs)
    else:
        values = _back_in_place(value_head(before.float()).squeeze(-1), real)
    entropy = torch.cat(entropies).mean() if with_entropy else torch.zeros(())
    return Read(log_probs=log_probs, values=values, entropy=entropy)


def _back_in_place(found: Tensor, real: Tensor) -> Tensor:
    """Return what was found of R real tokens where they stand (N, T), with 0 for padding."""
    return found.new_zeros(real.shape).masked_scatter(real, found)


@torch.no_grad()
def read_in_parts(
    model: PeftModel,
    split: Split,
    entered: Entered,
    *,
    temperature: float = 1.0,
    value_head: nn.Module | None = None,
) -> Read:
    """Return what `read_completions` does, without gradients, a few rows at a time."""
    everything = torch.arange(len(entered.tokens), device=entered.tokens.device)
    log_probs, values = (torch.zeros_like(entered.mask, dtype=torch.float32) for _ in range(2))
    at_once = READ_AT_ONCE * len(in_parts(entered, everything)[0])
    for part in in_parts(entered, everything, at_once):
        some = entered.rows(part)
        read = read_completions(model, split, some, temperature=temperature, value_head=value_head)
        width = some.mask.shape[1]
        log_probs[part, :width], values[part, :width] = read.log_probs, read.values
    return Read(log_probs=log_probs, values=values, entropy=torch.zeros(()))


def score_completions(split: Split, score_head: nn.Module, entered: Entered) -> Tensor:
    """Return the reward (N,) of each completion, read at its last real token.

    Raise PipelineError for one that is not a number.
    """
    hidden = read_entered(split, entered)
    last = entered.mask.sum(dim=1).long().clamp(min=1)  # 0 is the prompt's end
    at_end = hidden[torch.arange(len(last), device=hidden.device), last]  # (N, H)
    scores: Tensor = score_head(at_end.to(score_head.weight.dtype)).squeeze(-1).float()
    check_scores(scores.tolist())
    return scores


@dataclass
class Drawing:
    """Completions of N = prompts × repeat rows while they are written, padded to the longest
    allowed."""

    tokens: Tensor  # (N, max_new_tokens)
    log_probs: Tensor  # (N, max_new_tokens)
    values: Tensor  # (N, max_new_tokens); zeros without a value head
    lengths: Tensor  # (N,) of rows that have ended; max_new_tokens of the others
    ended: Tensor  # (N,) whether the end token came
    written: int = 0
    """Tokens that the longest row has by now."""


@torch.no_grad()
def sample(
    model: nn.Module,
    prompts: list[list[int]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_new_tokens: int,
    generator: torch.Generator,
    repeat: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    value_head: nn.Module | None = None,
    after_token: Callable[[int], None] | None = None,
    among: tuple[int, int] | None = None,
) -> Sampled:
    """Sample `repeat` completions of each prompt; rows that ended leave the batch.

    The log-probs are those of the distribution at `temperature`, before `top_p` cuts its tail.
    Every step draws the same count of uniform numbers for each row from `generator`, so a row's
    text does not depend on when others end, nor on who samples them: `among` (first, all) says
    which rows of a larger batch these are. `after_token` is told how many tokens each row has by
    now, at most.
    """
    first, everyone = among or (0, len(prompts) * repeat)

    def uniforms(rows: int) -> Tensor:
        numbers = torch.rand(everyone, draws_for(top_p), generator=generator)
        return numbers[first : first + rows]

    for drawing in draw(
        model,
        prompts,
        tokenizer,
        max_new_tokens=max_new_tokens,
        uniforms=uniforms,
        repeat=repeat,
        temperature=temperature,
        top_p=top_p,
        value_head=value_head,
    ):
        drawn = drawing
        if after_token is not None:
            after_token(drawn.written)
    width = int(drawn.lengths.max())
    mask = (torch.arange(width, device=drawn.tokens.device) < drawn.lengths.unsqueeze(1)).long()
    return Sampled(
        drawn.tokens[:, :width] * mask + tokenizer.pad_token_id * (1 - mask),
        mask,
        drawn.log_probs[:, :width] * mask,
        drawn.values[:, :width] * mask,
        drawn.ended,
    )


@torch.no_grad()
def draw(
    model: nn.Module,
    prompts: list[list[int]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_new_tokens: int,
    uniforms: Callable[[int], Tensor],
    repeat: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    value_head: nn.Module | None = None,
) -> Iterator[Drawing]:
    """Yield the completions after every token, the same object each time; see `sample`.

    `uniforms(rows)` returns new random numbers from 0 to 1, (rows, `draws_for(top_p)`).
    """
    trunk, head = trunk_of(model), head_of(model)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    state = read_prompts(trunk, prompts, pad=pad, repeat=repeat)
    device, rows = state.mask.device, len(prompts) * repeat
    drawing = Drawing(
        tokens=torch.full((rows, max_new_tokens), pad, device=device),
        log_probs=torch.zeros(rows, max_new_tokens, device=device),
        values=torch.zeros(rows, max_new_tokens, device=device),
        lengths=torch.full((rows,), max_new_tokens, device=device),
        ended=torch.zeros(rows, dtype=torch.bool, device=device),
    )
    ended = drawing.ended
    alive = torch.arange(rows, device=device)  # rows of the batch that the cache still holds
    hidden = state.last_hidden
    for t in range(max_new_tokens):
        logits = head(hidden).float() / temperature  # (A, V)
        drawn, drawn_log_probs = draw_tokens(logits, uniforms(rows).to(device)[alive], top_p)
        if drawn_log_probs.isnan().any():
            raise PipelineError(
                "The model's probabilities of the next token are not numbers. A run that has "
                "learned already is to start again with a lower learning rate. Otherwise: "
                + why_no_numbers()
            )
        live = ~ended[alive]
        drawing.tokens[alive[live], t] = drawn[live]
        drawing.log_probs[alive[live], t] = drawn_log_probs[live]
        if value_head is not None:
            drawing.values[alive[live], t] = value_head(hidden.float()).squeeze(-1)[live]
        finished = alive[live & (drawn == end)]
        ended[finished] = True
        drawing.lengths[finished] = t + 1
        drawing.written = t + 1
        yield drawing
        live = ~ended[alive]
        if t + 1 == max_new_tokens or not live.any():
            return
        if live.sum() <= 0.8 * len(alive):  # drop the finished rows from the batch
            state.cache.batch_select_indices(live.nonzero().squeeze(-1))
            state.mask, alive, drawn = state.mask[live], alive[live], drawn[live]
        hidden = next_hidden(trunk, state, drawn)


def next_hidden(trunk: nn.Module, state: PromptState, tokens: Tensor) -> Tensor:
    """Return the last hidden states (B, H) behind one more token (B,) of each row."""
    state.mask = torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], dim=1)
    hidden: Tensor = trunk(
        input_ids=tokens.unsqueeze(1),
        attention_mask=state.mask,
        position_ids=_positions(state.mask, 1),
        past_key_values=state.cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
    return hidden


def draws_for(top_p: float) -> int:
    """Return how many random numbers a token takes."""
    return 1 if top_p >= 1 else NUCLEUS_DRAWS + 1


def draw_tokens(logits: Tensor, uniform: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Return one token per row (A,) by inverting the distribution function, and its log-prob.

    `uniform` (A, K) holds K numbers from 0 to 1 for each row. With `top_p` below 1 all but the last
    stand for draws from the whole distribution, and the first within the nucleus is the row's token
    (rejection sampling: its distribution is that of the nucleus). Where none is, the nucleus is
    found, and the last number draws from it. Tokens as likely as the last one inside are inside.
    """
    log_probs = torch.log_softmax(logits, dim=-1)
    probs = log_probs.exp()
    if top_p >= 1:
        drawn = _invert(probs, uniform).squeeze(-1)
    else:
        found = _invert(probs, uniform[:, :-1])  # (A, K - 1)
        drawn = found[:, 0].clone()
        missed = torch.arange(len(probs), device=probs.device)
        for tried in found.unbind(dim=1):
            drawn[missed] = tried[missed]
            missed = missed[~_is_inside(probs, drawn, missed, top_p)]
            if not len(missed):
                break
        if len(missed):
            of_nucleus = _invert(nucleus(probs[missed], top_p), uniform[missed, -1:])
            drawn[missed] = of_nucleus.squeeze(-1)
    return drawn, log_probs.gather(-1, drawn.unsqueeze(-1)).squeeze(-1)


def _invert(probs: Tensor, uniform: Tensor) -> Tensor:
    """Return the tokens (A, K) at which the distribution functions (A, V) pass numbers (A, K)."""
    cumulative = probs.cumsum(dim=-1)
    found = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    return found.clamp(max=probs.shape[-1] - 1)


def _is_inside(probs: Tensor, drawn: Tensor, rows: Tensor, top_p: float) -> Tensor:
    """Return which of the rows drew a token before which less than `top_p` of the mass lies."""
    some = probs if len(rows) == len(probs) else probs[rows]
    own = some.gather(-1, drawn[rows].unsqueeze(-1))
    return some.masked_fill(some <= own, 0).sum(dim=-1) < top_p


def nucleus(probs: Tensor, top_p: float, *, at_once: int = NUCLEUS_AT_ONCE) -> Tensor:
    """Return (N, V) probabilities without their tails: 0 for tokens behind the likeliest `top_p`.

    The token that crosses the line stays, and so do those that are as likely (Holtzman et al. 2020,
    The Curious Case of Neural Text Degeneration). Only rows whose `at_once` likeliest tokens do not
    reach it are sorted wholly.
    """
    kept = torch.zeros_like(probs)
    ordered, order = probs.topk(min(at_once, probs.shape[-1]), dim=-1)
    wide = ordered.sum(dim=-1) < top_p
    kept.scatter_(-1, order, _before(ordered, top_p))
    if at_once < probs.shape[-1] and wide.any():
        ordered, order = probs[wide].sort(dim=-1, descending=True)
        kept[wide] = torch.zeros_like(ordered).scatter_(-1, order, _before(ordered, top_p))
    least = kept.masked_fill(kept == 0, torch.inf).amin(dim=-1, keepdim=True)
    return probs.masked_fill(probs < least, 0)


def _before(ordered: Tensor, top_p: float) -> Tensor:
    return ordered.masked_fill(ordered.cumsum(dim=-1) - ordered >= top_p, 0)


def _positions(mask: Tensor, width: int) -> Tensor:
    return (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -width:]
