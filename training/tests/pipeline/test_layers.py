"""The cut below the adapters gives what the whole trunk gives, or is not made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig, PreTrainedConfig

from training.pipeline.config import SFTConfig
from training.pipeline.layers import LayerCache, lowest_adapted_layer, split_trunk
from training.pipeline.loading import load_base, new_lora, trunk_of

SMALL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def adapted(base: nn.Module, layers: int) -> PeftModel:
    return get_peft_model(base, new_lora(base, SFTConfig(lora_layers=layers)), "policy").eval()


def test_it_cuts_below_the_lowest_layer_of_any_adapter(tiny_model: Path) -> None:
    base = load_base(str(tiny_model))
    model = adapted(base, 1)
    assert lowest_adapted_layer(model) == 1
    model.add_adapter("reward", new_lora(base, SFTConfig(lora_layers=2)))
    assert lowest_adapted_layer(model) == 0
    assert split_trunk(model).first == 0


def test_it_leaves_the_trunk_itself_whole(tiny_model: Path) -> None:
    model = adapted(load_base(str(tiny_model)), 1)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        split = split_trunk(model)
        assert torch.equal(model(input_ids=ids).logits, before)
    assert split.first == 1
    assert len(trunk_of(model).layers) == 2
    assert (len(split.lower.layers), len(split.upper.layers)) == (1, 1)


def test_it_gives_what_the_trunk_gives_through_a_cache(tiny_model: Path) -> None:
    model = adapted(load_base(str(tiny_model)).float(), 1)
    split, trunk = split_trunk(model), trunk_of(model)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    low, high = LayerCache(trunk.config), LayerCache(trunk.config, split.first)
    parts = []
    with torch.no_grad():
        for part in (ids[:, :2], ids[:, 2:]):
            below = split.lower(input_ids=part, past_key_values=low, use_cache=True)
            above = split.upper(
                inputs_embeds=below.last_hidden_state, past_key_values=high, use_cache=True
            )
            parts.append(above.last_hidden_state)
        whole = trunk(input_ids=ids).last_hidden_state
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            GraniteConfig(
                **{k: v for k, v in SMALL.items() if k != "head_dim"}, embedding_multiplier=2.0
            ),
            id="scales its embeddings on the way in",
        ),
        pytest.param(Gemma2Config(**SMALL, sliding_window=4), id="has layers of two types"),
    ],
)
def test_it_does_not_cut_what_cannot_be_cut(config: PreTrainedConfig) -> None:
    model = adapted(AutoModelForCausalLM.from_config(config), 1)
    assert lowest_adapted_layer(model) == 2
    split = split_trunk(model)
    assert split.first == 0
    assert split.upper is trunk_of(model)
