"""Demonstrations read with what they share read once say what each says alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Gemma2Config

from training.pipeline import completion_loss as module
from training.pipeline.completion_loss import IGNORED, completion_loss, is_plain, shared_columns
from training.pipeline.config import SFTConfig
from training.pipeline.loading import add_policy, load_base

TEMPLATE = list(range(20, 30))
ROWS = [([*TEMPLATE, 5, 6], [7, 8, 9]), ([*TEMPLATE, 5], [9, 4]), ([*TEMPLATE, 30, 6, 7], [7])]
"""Prompts and completions."""


@pytest.fixture
def policy(tiny_model: Path) -> nn.Module:
    model = add_policy(load_base(str(tiny_model)), None, SFTConfig()).eval()
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # zero: it would give A no gradient
            nn.init.normal_(weight, std=0.1)
    return model


def batch(rows: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor, Tensor]:
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids, mask, labels = [], [], []
    for prompt, answer in rows:
        padding = width - len(prompt) - len(answer)
        ids.append([*prompt, *answer, *[2] * padding])
        mask.append([1] * (width - padding) + [0] * padding)
        labels.append([IGNORED] * len(prompt) + answer + [IGNORED] * padding)
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


@pytest.mark.parametrize("rows", [ROWS, [([11, *p], a) for p, a in ROWS[:2]] + [ROWS[2]]])
def test_it_is_what_each_row_says_alone(
    policy: nn.Module, rows: list[tuple[list[int], list[int]]]
) -> None:
    """Of the second three rows the last begins otherwise, so that nothing is shared."""
    weights = [weight for weight in policy.parameters() if weight.requires_grad]
    found = completion_loss(policy, *batch(rows))
    assert found is not None
    ours = torch.autograd.grad(found.nll, weights)
    nll, entropy, correct = torch.zeros(()), torch.zeros(()), 0
    for prompt, answer in rows:
        logits = policy(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        for place, token in enumerate(answer, len(prompt)):
            spread = torch.distributions.Categorical(logits=logits[place - 1])
            nll = nll - spread.log_prob(torch.tensor(token))
            entropy = entropy + spread.entropy()
            correct += int(logits[place - 1].argmax() == token)
    assert found.nll.item() == pytest.approx(nll.item(), rel=1e-5)
    assert found.entropy.item() == pytest.approx(entropy.item(), rel=1e-5)
    assert (found.correct.item(), found.tokens) == (correct, 6)
    for one, other in zip(ours, torch.autograd.grad(nll, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_a_completion_is_predicted_from_is_not_shared() -> None:
    ids, _, labels = batch([(TEMPLATE, [7, 8]), (TEMPLATE, [9])])
    assert shared_columns(ids, labels != IGNORED) == len(TEMPLATE) - 1
    ids, _, labels = batch(ROWS)
    assert shared_columns(ids, labels != IGNORED) == len(TEMPLATE)
    assert shared_columns(ids[:1], labels[:1] != IGNORED) == 0  # nobody to share with


def test_it_leaves_long_batches_to_a_pass_in_tiles(
    policy: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LOGITS", 1000)
    assert completion_loss(policy, *batch(ROWS)) is None


def test_it_knows_a_head_whose_logits_are_changed_behind_it(policy: nn.Module) -> None:
    assert is_plain(policy)
    small = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "head_dim": 8}
    small |= {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    assert not is_plain(AutoModelForCausalLM.from_config(Gemma2Config(**small)))
