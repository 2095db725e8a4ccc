"""Each loss beside its derivation and a twin in plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.pipeline import losses


def ragged_mask(lengths: list[int], width: int) -> Tensor:
    return torch.tensor([[1] * n + [0] * (width - n) for n in lengths])


def test_it_means_only_what_the_mask_keeps() -> None:
    values = torch.tensor([[1.0, 2.0, 100.0], [3.0, 100.0, 100.0]])
    assert losses.masked_mean(values, ragged_mask([2, 1], 3)).item() == pytest.approx(2.0)


def test_it_whitens_to_zero_mean_and_unit_variance_over_the_mask() -> None:
    mask = ragged_mask([4, 2], 4)
    values = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)) * 7 + 3
    white = losses.masked_whiten(values, mask)
    kept = white[mask.bool()]
    assert kept.mean().item() == pytest.approx(0, abs=1e-6)
    assert kept.var(unbiased=True).item() == pytest.approx(1, abs=1e-4)
    assert white[~mask.bool()].abs().max() == 0


def test_it_keeps_the_mean_when_whitening_rewards() -> None:
    mask = ragged_mask([3, 3], 3)
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    white = losses.masked_whiten(values, mask, shift_mean=False)
    assert white.mean().item() == pytest.approx(values.mean().item())


def test_it_takes_log_probs_as_log_softmax_does() -> None:
    logits = torch.randn(3, 5, 11, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(0, 11, (3, 5), generator=torch.Generator().manual_seed(2))
    expected = torch.log_softmax(logits, -1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(losses.token_log_probs(logits, tokens), expected)


def test_it_measures_the_entropy_of_a_fair_die_as_log_six() -> None:
    assert losses.token_entropy(torch.zeros(1, 6)).item() == pytest.approx(math.log(6))


def test_it_puts_the_score_on_the_last_real_token_and_the_kl_on_each() -> None:
    mask = ragged_mask([3, 1], 3)
    log_probs = torch.tensor([[-1.0, -1.0, -1.0], [-2.0, 0.0, 0.0]])
    reference = torch.tensor([[-2.0, -1.0, -0.5], [-1.0, 0.0, 0.0]])
    rewards = losses.shaped_rewards(torch.tensor([10.0, 20.0]), log_probs, reference, mask, 0.1)
    expected = torch.tensor([[-0.1, 0.0, 0.05 + 10], [0.1 + 20, 0.0, 0.0]])
    torch.testing.assert_close(rewards, expected)


@pytest.mark.parametrize(
    ("estimator", "of_twice", "of_half"),
    [("k1", 0.693147, -0.693147), ("k2", 0.240227, 0.240227), ("k3", 0.193147, 0.306853)],
)
def test_it_estimates_kl_from_a_token_that_became_twice_or_half_as_likely(
    estimator: losses.KLEstimator, of_twice: float, of_half: float
) -> None:
    """With d = ±ln 2: k1 = d, k2 = d²/2 = .240, k3 = e^(−d) − 1 + d: ½ − 1 + .693, 2 − 1 − .693."""
    log_probs = torch.log(torch.tensor([0.4, 0.1]))
    reference = torch.log(torch.tensor([0.2, 0.2]))
    found = losses.kl_estimate(log_probs, reference, estimator)
    assert found.tolist() == pytest.approx([of_twice, of_half], abs=1e-6)


def test_its_unbiased_estimators_average_to_the_kl() -> None:
    """Σ_x π(x) k(x) over a whole distribution is KL(π‖π_ref) for k1 and k3, and not for k2."""
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    expected = sum(
        p * math.log(p / q) for p, q in zip(policy.tolist(), reference.tolist(), strict=True)
    )
    means = {
        name: (policy * losses.kl_estimate(policy.log(), reference.log(), name)).sum().item()
        for name in ("k1", "k2", "k3")
    }
    assert means["k1"] == pytest.approx(expected)
    assert means["k3"] == pytest.approx(expected)
    assert means["k2"] != pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_it_shapes_rewards_as_a_loop_does(estimator: losses.KLEstimator) -> None:
    generator = torch.Generator().manual_seed(4)
    mask = ragged_mask([4, 1, 3], 4)
    log_probs, reference = (-torch.rand(3, 4, generator=generator) * mask for _ in range(2))
    scores = torch.tensor([1.0, -2.0, 0.5])
    rewards = losses.shaped_rewards(scores, log_probs, reference, mask, 0.3, estimator)
    for row, length in enumerate([4, 1, 3]):
        for t in range(4):
            d = (log_probs[row, t] - reference[row, t]).item()
            kl = {"k1": d, "k2": d * d / 2, "k3": math.exp(-d) - 1 + d}[estimator]
            expected = -0.3 * kl if t < length else 0.0
            expected += scores[row].item() if t == length - 1 else 0.0
            assert rewards[row, t].item() == pytest.approx(expected, abs=1e-6)


def test_it_whitens_as_a_loop_does() -> None:
    mask = ragged_mask([3, 1], 3)
    values = torch.tensor([[1.0, 4.0, -2.0], [5.0, 99.0, 99.0]])
    kept = [1.0, 4.0, -2.0, 5.0]
    mean = sum(kept) / 4
    spread = math.sqrt(sum((v - mean) ** 2 for v in kept) / 3)
    expected = [(v - mean) / spread for v in kept]
    white = losses.masked_whiten(values, mask)
    assert white[mask.bool()].tolist() == pytest.approx(expected, abs=1e-6)


def gae_in_loops(
    rewards: list[float], values: list[float], gamma: float, lam: float
) -> tuple[list[float], list[float]]:
    """A_t = Σ_l (γλ)^l δ_{t+l}, straight from equation 16 of the paper: quadratic, on purpose."""
    n = len(rewards)
    ahead = [*values, 0.0]
    deltas = [rewards[t] + gamma * ahead[t + 1] - values[t] for t in range(n)]
    advantages = [sum((gamma * lam) ** (u - t) * deltas[u] for u in range(t, n)) for t in range(n)]
    return advantages, [a + v for a, v in zip(advantages, values, strict=True)]


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    gamma=st.floats(0, 1),
    lam=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_it_estimates_advantages_as_the_sum_in_the_paper(
    lengths: list[int], gamma: float, lam: float, seed: int
) -> None:
    width = max(lengths) + 1
    generator = torch.Generator().manual_seed(seed)
    mask = ragged_mask(lengths, width)
    rewards = torch.randn(len(lengths), width, generator=generator, dtype=torch.float64) * mask
    values = torch.randn(len(lengths), width, generator=generator, dtype=torch.float64)
    advantages, returns = losses.gae(rewards, values, mask, gamma, lam)
    for row, length in enumerate(lengths):
        expected, expected_returns = gae_in_loops(
            rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, lam
        )
        assert advantages[row, :length].tolist() == pytest.approx(expected)
        assert returns[row, :length].tolist() == pytest.approx(expected_returns)
        assert advantages[row, length:].abs().max() == 0


def test_it_clips_the_surrogate_on_the_pessimistic_side_only() -> None:
    """With advantage 1 and ratio 2 the objective is held at 1.2; with advantage −1 it is −2."""
    log_ratio = torch.log(torch.tensor([[2.0], [2.0], [0.5], [0.5]]))
    advantages = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    by_row = [
        losses.policy_loss(
            log_ratio[i : i + 1], torch.zeros(1, 1), advantages[i : i + 1], torch.ones(1, 1), 0.2
        ).loss.item()
        for i in range(4)
    ]
    assert by_row == pytest.approx([-1.2, 2.0, -0.5, 0.8])


def test_it_gives_no_gradient_where_the_surrogate_is_clipped() -> None:
    log_probs = torch.log(torch.tensor([[2.0, 1.1]])).requires_grad_()
    loss = losses.policy_loss(log_probs, torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), 0.2)
    loss.loss.backward()
    assert log_probs.grad is not None
    assert log_probs.grad[0].tolist() == pytest.approx([0.0, -0.55])
    assert loss.clip_fraction.item() == 0.5


def policy_and_value_losses_in_loops(
    rows: list[list[tuple[float, float, float, float, float, float]]], clip: float
) -> tuple[float, float]:
    """Each token: log π, old log π, advantage, value, old value, return. Means over all tokens."""
    policy, value = [], []
    for new, old, advantage, now, before, gain in (token for row in rows for token in row):
        ratio = math.exp(new - old)
        held = min(max(ratio, 1 - clip), 1 + clip)
        policy.append(-min(ratio * advantage, held * advantage))
        near = min(max(now, before - clip), before + clip)
        value.append(max((now - gain) ** 2, (near - gain) ** 2) / 2)
    return sum(policy) / len(policy), sum(value) / len(value)


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_it_loses_what_a_loop_loses(lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask, shape = ragged_mask(lengths, 5), (len(lengths), 5)
    new, old, advantage, now, before, gain = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(6)
    )
    columns = torch.stack([new, old, advantage, now, before, gain], dim=-1)
    rows = [
        [tuple(token) for token in columns[row, :length].tolist()]
        for row, length in enumerate(lengths)
    ]
    policy, value = policy_and_value_losses_in_loops(rows, 0.2)
    found = losses.policy_loss(new, old, advantage, mask, 0.2)
    assert found.loss.item() == pytest.approx(policy)
    assert losses.value_loss(now, before, gain, mask, 0.2).item() == pytest.approx(value)


def test_it_means_the_supervised_loss_over_demonstrated_tokens() -> None:
    """Three tokens of −1, −2 and −4 give 7/3, whichever rows they stand in."""
    log_probs = torch.tensor([[-1.0, -2.0], [-4.0, -50.0]])
    assert losses.ptx_loss(log_probs, ragged_mask([2, 1], 2)).item() == pytest.approx(7 / 3)


def test_it_explains_the_variance_that_the_values_foretell() -> None:
    """Returns 0, 2, 4 (variance 8/3); errors 0, 0, 3 (variance 2): 1 − 2/(8/3) = ¼."""
    mask = ragged_mask([3], 4)
    returns = torch.tensor([[0.0, 2.0, 4.0, 99.0]])
    assert losses.explained_variance(returns, returns, mask) == pytest.approx(1)
    values = torch.tensor([[0.0, 2.0, 1.0, -99.0]])
    assert losses.explained_variance(values, returns, mask) == pytest.approx(0.25)
    assert losses.explained_variance(torch.full((1, 4), 2.0), returns, mask) == pytest.approx(0)
    assert losses.explained_variance(values, torch.ones(1, 4), mask) == 0


def test_it_takes_the_larger_value_error() -> None:
    """Old 0, return 1, clip .2: a value of .5 errs by .5, held at .2 by .8; .8²/2 counts."""
    loss = losses.value_loss(
        torch.tensor([[0.5]]), torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1), 0.2
    )
    assert loss.item() == pytest.approx(0.32)


def test_it_weighs_every_prompt_the_same_however_many_pairs_it_has() -> None:
    """Prompt 0 has three pairs, prompt 1 one: −1/C(K,2) Σ log σ within, the mean across."""
    scores = torch.tensor([2.0, 1.0, 0.0, 5.0, 5.0])
    chosen, rejected = torch.tensor([0, 0, 1, 3]), torch.tensor([1, 2, 2, 4])
    loss = losses.grouped_pairwise_loss(scores, chosen, rejected, torch.tensor([0, 0, 0, 1]))

    def nll(gap: float) -> float:
        return math.log(1 + math.exp(-gap))

    assert loss.item() == pytest.approx(((nll(1) + nll(2) + nll(1)) / 3 + nll(0)) / 2)


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(0.0, 0.313262), (2 / 3, 0.540306), (1.0, 0.693147), (2.0, 1.313262), (3.0, 2.126928)],
)
def test_it_gives_the_margin_losses_of_llama_2(margin: float, expected: float) -> None:
    pair = (torch.tensor([1.0, 0.0]), torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))
    loss = losses.grouped_pairwise_loss(*pair, margin=torch.tensor([margin]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def masked(rows: list[list[float]], mask: Tensor) -> list[float]:
    """Return what the mask keeps, row by row."""
    return [
        value
        for row, kept in zip(rows, mask.tolist(), strict=True)
        for value, keep in zip(row, kept, strict=True)
        if keep
    ]


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    clip=st.floats(0.05, 0.5),
    seed=st.integers(0, 1000),
)
def test_it_clips_policy_and_value_as_plain_loops_do(
    lengths: list[int], clip: float, seed: int
) -> None:
    width = max(lengths) + 1
    mask = ragged_mask(lengths, width)
    generator = torch.Generator().manual_seed(seed)
    new, old, advantages, returns = (
        torch.randn(len(lengths), width, generator=generator, dtype=torch.float64) for _ in range(4)
    )
    policy = losses.policy_loss(new, old, advantages, mask, clip)
    value = losses.value_loss(new, old, returns, mask, clip)
    terms, clipped, kls, errors = [], [], [], []
    columns = [masked(tensor.tolist(), mask) for tensor in (new, old, advantages, returns)]
    for now, before, advantage, wanted in zip(*columns, strict=True):
        ratio = math.exp(now - before)
        held_ratio = min(max(ratio, 1 - clip), 1 + clip)
        terms.append(-min(ratio * advantage, held_ratio * advantage))
        clipped.append(held_ratio * advantage < ratio * advantage)
        kls.append(ratio - 1 - (now - before))
        held = min(max(now, before - clip), before + clip)
        errors.append(max((now - wanted) ** 2, (held - wanted) ** 2))
    count = len(terms)
    assert policy.loss.item() == pytest.approx(sum(terms) / count)
    assert policy.clip_fraction.item() == pytest.approx(sum(clipped) / count)
    assert policy.approx_kl.item() == pytest.approx(sum(kls) / count)
    assert value.item() == pytest.approx(0.5 * sum(errors) / count)


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(2, 5), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_it_whitens_as_plain_loops_do(lengths: list[int], seed: int) -> None:
    mask = ragged_mask(lengths, max(lengths))
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*mask.shape, generator=generator, dtype=torch.float64)
    kept = masked(values.tolist(), mask)
    mean = sum(kept) / len(kept)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in kept) / (len(kept) - 1))
    white = masked(losses.masked_whiten(values, mask).tolist(), mask)
    assert white == pytest.approx([(v - mean) / deviation for v in kept], abs=1e-5)


def pairwise_in_loops(
    scores: list[float], pairs: list[tuple[int, int, int, float, float, float]]
) -> float:
    """Mean over prompts, over pairs, of w times −t log σ(Δ − m) − (1 − t) log σ(m − Δ)."""
    by_prompt: dict[int, list[float]] = {}
    for chosen, rejected, prompt, margin, target, weight in pairs:
        probability = 1 / (1 + math.exp(-(scores[chosen] - scores[rejected] - margin)))
        loss = -target * math.log(probability) - (1 - target) * math.log(1 - probability)
        by_prompt.setdefault(prompt, []).append(weight * loss)
    means = [sum(own) / len(own) for own in by_prompt.values()]
    return sum(means) / len(means)


@settings(max_examples=50)
@given(
    scores=st.lists(st.floats(-4, 4), min_size=2, max_size=6),
    data=st.data(),
)
def test_it_weighs_margins_and_shares_of_votes_as_plain_loops_do(
    scores: list[float], data: st.DataObject
) -> None:
    index = st.integers(0, len(scores) - 1)
    share = st.floats(0, 1)
    pair = st.tuples(index, index, st.integers(0, 2), share, share, st.floats(0, 3))
    pairs = data.draw(st.lists(pair, min_size=1, max_size=8))
    columns = list(zip(*pairs, strict=True))
    loss = losses.grouped_pairwise_loss(
        torch.tensor(scores, dtype=torch.float64),
        *(torch.tensor(column) for column in columns[:3]),
        margin=torch.tensor(columns[3], dtype=torch.float64),
        target=torch.tensor(columns[4], dtype=torch.float64),
        weight=torch.tensor(columns[5], dtype=torch.float64),
    )
    assert loss.item() == pytest.approx(pairwise_in_loops(scores, pairs))


@pytest.mark.parametrize(
    ("gap", "target", "margin", "slope"),
    [(math.log(3), 0.75, 0.0, 0.0), (0.0, 0.5, 0.0, 0.0), (math.log(3) + 0.5, 0.75, 0.5, 0.0),
     (0.0, 1.0, 0.0, -0.5), (0.0, 0.75, 0.0, -0.25)],
)  # fmt: skip
def test_it_wants_the_gap_at_which_the_model_says_what_the_votes_say(
    gap: float, target: float, margin: float, slope: float
) -> None:
    """dL/dΔ = σ(Δ − m) − t: three votes of four want σ = 3/4, which is Δ = log 3; a tie wants 0."""
    scores = torch.tensor([gap, 0.0], requires_grad=True)
    loss = losses.grouped_pairwise_loss(
        scores,
        torch.tensor([0]),
        torch.tensor([1]),
        torch.tensor([0]),
        torch.tensor([margin]),
        torch.tensor([target]),
    )
    loss.backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([slope, -slope], abs=1e-6)


def test_it_raises_the_price_of_kl_above_the_target_and_lowers_it_below() -> None:
    assert losses.adapted_kl_coef(
        0.1, kl=12, target=6, episodes=100, horizon=1000
    ) == pytest.approx(0.102)
    assert losses.adapted_kl_coef(
        0.1, kl=5.7, target=6, episodes=100, horizon=1000
    ) == pytest.approx(0.0995)
