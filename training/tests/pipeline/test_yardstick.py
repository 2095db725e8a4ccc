"""Ours on the tensors of a step of TRL 1.12's PPOTrainer (tests/yardstick/record_ppo.py).

TRL's rows have one position more than ours: it gives the score to the padding behind the end token,
and learns a value there too. So its rewards and values are held against ours over a mask that is
one token longer; a row that was cut off has no such position.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training.pipeline import losses

RECORDED = Path(__file__).parents[3] / "tests" / "yardstick" / "ppo.json"
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def rollout(recorded: dict[str, Any]) -> dict[str, Tensor]:
    found = {name: torch.tensor(values) for name, values in recorded["rollout"].items()}
    found["mask"] = 1 - found.pop("padding_mask")
    found["mask_of_values"] = 1 - found.pop("padding_mask_p1")
    return found


def test_it_was_recorded_with_rows_that_ended_and_rows_that_were_cut_off(
    recorded: dict[str, Any], rollout: dict[str, Tensor]
) -> None:
    lengths = rollout["mask"].sum(dim=1)
    assert lengths.min() < rollout["mask"].shape[1] == lengths.max()
    clipped = [
        losses.policy_loss(**of_policy(part, rollout), clip_range=0.2).clip_fraction.item()
        for part in recorded["micro_batches"]
    ]
    assert clipped[0] == 0
    assert max(clipped) > 0.1


def test_it_shapes_the_rewards_of_trl(recorded: dict[str, Any], rollout: dict[str, Tensor]) -> None:
    rewards = losses.shaped_rewards(
        rollout["scores"],
        rollout["logprobs"],
        rollout["ref_logprobs"],
        rollout["mask_of_values"],
        recorded["settings"]["kl_coef"],
    )
    torch.testing.assert_close(rewards.double(), rollout["rewards"].double(), **TOLERANCE)


def test_it_estimates_the_advantages_and_returns_of_trl(
    recorded: dict[str, Any], rollout: dict[str, Tensor]
) -> None:
    settings, mask = recorded["settings"], rollout["mask"]
    advantages, returns = losses.gae(
        rollout["rewards"],
        rollout["values"],
        rollout["mask_of_values"],
        settings["gamma"],
        settings["lam"],
    )
    torch.testing.assert_close(advantages * mask, rollout["advantages"] * mask, **TOLERANCE)
    torch.testing.assert_close(returns * mask, rollout["returns"] * mask, **TOLERANCE)
    whitened = losses.masked_whiten(advantages, mask)
    torch.testing.assert_close(whitened, rollout["whitened"], **TOLERANCE)


def test_it_loses_what_trl_loses(recorded: dict[str, Any], rollout: dict[str, Tensor]) -> None:
    settings = recorded["settings"]
    for part in recorded["micro_batches"]:
        policy = losses.policy_loss(**of_policy(part, rollout), clip_range=settings["cliprange"])
        value = losses.value_loss(
            torch.tensor(part["vpred"]),
            torch.tensor(part["mb_values"]),
            torch.tensor(part["mb_return"]),
            rollout["mask_of_values"][part["rows"]],
            settings["cliprange_value"],
        )
        assert policy.loss.item() == pytest.approx(part["pg_loss"], abs=1e-5)
        assert value.item() == pytest.approx(part["vf_loss"], abs=1e-5)
        loss = policy.loss.item() + settings["vf_coef"] * value.item()
        assert loss == pytest.approx(part["loss"], abs=1e-5)


def of_policy(part: dict[str, Any], rollout: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "log_probs": torch.tensor(part["new_logprobs"]),
        "old_log_probs": torch.tensor(part["mb_logprobs"]),
        "advantages": torch.tensor(part["mb_advantage"]),
        "mask": rollout["mask"][part["rows"]],
    }
