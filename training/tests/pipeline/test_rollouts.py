"""The cached passes give what plain passes over whole sequences give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from training.pipeline import rollouts
from training.pipeline.config import SFTConfig
from training.pipeline.data import encode_prompt
from training.pipeline.errors import PipelineError
from training.pipeline.layers import split_trunk
from training.pipeline.loading import add_policy, load_base, load_tokenizer, trunk_of
from training.pipeline.losses import token_log_probs

TEXTS = ["the moon", "a cat in the rain", "an old pond with a frog", "it"]


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


@pytest.fixture(params=[0, 1], ids=["all layers", "upper layer"])
def policy(tiny_model: Path, request: pytest.FixtureRequest) -> PeftModel:
    """A policy whose adapter is not the identity."""
    torch.manual_seed(3)
    config = SFTConfig(lora_rank=4, lora_layers=request.param)
    model = add_policy(load_base(str(tiny_model)).float(), None, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def prompts(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    return [
        encode_prompt(
            tokenizer, [{"role": "user", "content": f"Write a haiku about the old pond and {t}."}]
        )
        for t in TEXTS
    ]


def plain_log_probs(model: PeftModel, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """One row, no padding, no cache."""
    ids = torch.tensor([prompt + completion])
    logits = model(input_ids=ids).logits[:, len(prompt) - 1 : -1]
    return token_log_probs(logits, ids[:, len(prompt) :])[0]


def read_completions(
    model: PeftModel,
    prompts: list[list[int]],
    tokens: torch.Tensor,
    mask: torch.Tensor,
    value_head: torch.nn.Module | None = None,
) -> rollouts.Read:
    split = split_trunk(model)
    entered = rollouts.enter(split, prompts, tokens, mask, pad=0)
    return rollouts.read_completions(model, split, entered, value_head=value_head)


def test_it_reads_log_probs_that_do_not_depend_on_padding_or_batch(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    completions = [[5, 6, 7, 2], [8, 2], [9, 10, 11, 12, 13, 2], [14]]
    tokens, mask = rollouts.pad_right(completions, tokenizer.pad_token_id, torch.device("cpu"))
    assert rollouts.shared_prefix(prompts) >= rollouts.MIN_SHARED
    with torch.no_grad():
        read = read_completions(policy, prompts, tokens, mask)
        for row, completion in enumerate(completions):
            expected = plain_log_probs(policy, prompts[row], completion)
            torch.testing.assert_close(
                read.log_probs[row, : len(completion)], expected, atol=1e-5, rtol=1e-5
            )
            assert read.log_probs[row, len(completion) :].abs().sum() == 0


def test_it_gives_the_gradient_of_plain_passes(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    completions = [[5, 6, 7, 2], [8, 2], [9, 10, 2], [14, 2]]
    tokens, mask = rollouts.pad_right(completions, tokenizer.pad_token_id, torch.device("cpu"))
    weights = {n: p for n, p in policy.named_parameters() if p.requires_grad}

    read_completions(policy, prompts, tokens, mask).log_probs.sum().backward()
    cached = {n: p.grad.clone() for n, p in weights.items() if p.grad is not None}
    policy.zero_grad()
    total = sum(
        plain_log_probs(policy, p, c).sum() for p, c in zip(prompts, completions, strict=True)
    )
    assert isinstance(total, torch.Tensor)
    total.backward()
    assert len(cached) == len(weights)
    for name, parameter in weights.items():
        torch.testing.assert_close(cached[name], parameter.grad, atol=1e-4, rtol=1e-3)


def test_it_reads_some_rows_as_it_reads_all(policy: PeftModel, prompts: list[list[int]]) -> None:
    completions = [[5, 6, 7, 2], [8, 2], [9, 10, 11, 12, 13, 2], [14]]
    tokens, mask = rollouts.pad_right(completions, 0, torch.device("cpu"))
    split = split_trunk(policy)
    entered = rollouts.enter(split, prompts, tokens, mask, pad=0)
    rows = torch.tensor([3, 1])
    with torch.no_grad():
        everything = rollouts.read_completions(policy, split, entered)
        some = rollouts.read_completions(policy, split, entered.rows(rows))
    assert some.log_probs.shape == (2, 2)
    torch.testing.assert_close(some.log_probs, everything.log_probs[rows, :2])


def test_it_records_while_sampling_what_a_pass_over_the_samples_reads(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    torch.manual_seed(0)
    value_head = torch.nn.Linear(16, 1)
    drawn = rollouts.sample(
        policy,
        prompts,
        tokenizer,
        max_new_tokens=12,
        repeat=3,
        generator=torch.Generator().manual_seed(1),
        value_head=value_head,
    )
    thrice = [p for p in prompts for _ in range(3)]
    with torch.no_grad():
        read = read_completions(policy, thrice, drawn.tokens, drawn.mask, value_head=value_head)
    torch.testing.assert_close(drawn.log_probs, read.log_probs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(drawn.values, read.values, atol=1e-4, rtol=1e-4)


def test_it_writes_nothing_where_probabilities_are_not_numbers(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    trunk_of(policy).norm.weight.data.fill_(float("nan"))
    with pytest.raises(PipelineError, match=r"not numbers.*lower learning rate. Otherwise"):
        rollouts.sample(policy, prompts, tokenizer, max_new_tokens=4, generator=torch.Generator())


def test_it_ends_a_row_at_its_end_token_and_pads_the_rest(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    end = tokenizer.eos_token_id
    drawn = rollouts.sample(
        policy,
        prompts,
        tokenizer,
        max_new_tokens=400,
        repeat=4,
        generator=torch.Generator().manual_seed(5),
    )
    assert drawn.ended.any()
    for tokens, mask, ended in zip(drawn.tokens, drawn.mask, drawn.ended, strict=True):
        real = tokens[mask.bool()].tolist()
        assert (real[-1] == end) == bool(ended)
        assert end not in real[:-1]
        assert set(tokens[~mask.bool()].tolist()) <= {tokenizer.pad_token_id}


def test_it_samples_the_same_from_the_same_seed(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    def draw(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return rollouts.sample(
            policy, prompts, tokenizer, max_new_tokens=8, generator=generator
        ).tokens

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_it_draws_tokens_as_often_as_the_model_says() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(20_000, 1)
    uniform = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(0))
    drawn, log_probs = rollouts.draw_tokens(logits, uniform, top_p=1.0)
    share = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(share, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.012, rtol=0)
    torch.testing.assert_close(log_probs, logits.gather(1, drawn.unsqueeze(1)).squeeze(1))


@pytest.mark.parametrize(
    ("top_p", "shares"),
    [
        (0.85, [0.4, 0.3, 0.2]),
        (0.65, [0.5714, 0.4286, 0]),
        (0.35, [1, 0, 0]),  # four draws miss it thirteen times in a hundred
    ],
)
def test_it_draws_from_the_nucleus_as_often_as_the_model_says(
    top_p: float, shares: list[float]
) -> None:
    logits = torch.log(torch.tensor([[0.05, 0.3, 0.05, 0.4, 0.2]])).repeat(20_000, 1)
    numbers = torch.Generator().manual_seed(0)
    uniform = torch.rand(20_000, rollouts.draws_for(top_p), generator=numbers)
    drawn, log_probs = rollouts.draw_tokens(logits, uniform, top_p=top_p)
    share = torch.bincount(drawn, minlength=5) / len(drawn)
    kept = torch.tensor(shares) / sum(shares)
    torch.testing.assert_close(share[[3, 1, 4]], kept, atol=0.012, rtol=0)
    assert share[[0, 2]].sum() == 0
    assert ((share[[3, 1, 4]] == 0) == (kept == 0)).all()
    torch.testing.assert_close(log_probs, logits.gather(1, drawn.unsqueeze(1)).squeeze(1))


def test_what_every_draw_misses_is_drawn_from_the_nucleus_itself() -> None:
    # The likeliest two stand behind a tail of half the mass.
    probs = torch.tensor([[*[0.01] * 50, 0.3, 0.2]])
    uniform = torch.rand(40_000, 5, generator=torch.Generator().manual_seed(0))
    uniform[:, :-1] *= 0.5  # so that all of them miss
    drawn, _ = rollouts.draw_tokens(probs.log().repeat(40_000, 1), uniform, top_p=0.45)
    assert set(drawn.tolist()) == {50, 51}
    assert (drawn == 50).float().mean().item() == pytest.approx(0.6, abs=0.01)


def test_tokens_as_likely_as_the_last_one_inside_are_inside() -> None:
    probs = torch.tensor([[*[0.01] * 60, 0.2, 0.2]])
    assert torch.equal(rollouts.nucleus(probs, 0.1)[0] > 0, probs[0] == 0.2)
    uniform = torch.rand(40_000, 5, generator=torch.Generator().manual_seed(0))
    drawn, _ = rollouts.draw_tokens(probs.log().repeat(40_000, 1), uniform, top_p=0.1)
    assert (drawn == 60).float().mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_it_finds_the_nucleus_among_the_likeliest_as_by_sorting_all(top_p: float) -> None:
    steepness = torch.tensor([0.0, 0.3, 1.0, 4.0]).unsqueeze(1)  # the first two are too wide
    draw = torch.Generator().manual_seed(0)
    probs = (torch.randn(4, 64, generator=draw) * steepness).softmax(dim=-1)
    expected = torch.zeros_like(probs)
    for row, kept in zip(probs.tolist(), expected, strict=True):
        before = 0.0
        for probability, token in sorted(((p, -i) for i, p in enumerate(row)), reverse=True):
            if before < top_p:
                kept[-token] = probability
            before += probability
    found = rollouts.nucleus(probs, top_p, at_once=8)
    assert (found > 0).sum(dim=-1)[1:].tolist() == (expected > 0).sum(dim=-1)[1:].tolist()
    assert torch.equal(found[1:], expected[1:])
    # Tokens as likely as the last one inside are inside.
    assert (found[0] > 0).all()
