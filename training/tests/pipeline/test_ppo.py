"""PPO on the tiny model: what must be equal is equal, what runs away is stopped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from training.pipeline import data, loading, ppo, ppo_state, ppo_step, rollouts
from training.pipeline.checkpoints import read_manifest
from training.pipeline.config import PPOConfig
from training.pipeline.errors import PipelineError
from training.pipeline.guards import Guards, Seen
from training.pipeline.jobs import Job
from training.pipeline.losses import token_log_probs
from training.pipeline.ppo_radar import Radar
from training.pipeline.ppo_state import Models, Progress
from training.pipeline.ppo_step import shuffled
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import Entered, using
from training.pipeline.samples import FixedPrompts
from training.tests.pipeline.conftest import run_job, steps_shown
from training.tests.pipeline.rows import demonstration_rows, prompt_rows, write_rows
from training.tests.tiny import build_tiny_model

MakeJob = Callable[..., Job]
SMALL = PPOConfig(
    steps=3, batch_size=8, minibatch_size=8, max_new_tokens=8, learning_rate=1e-3, ppo_epochs=2
)


@pytest.fixture
def load(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tmp_path: Path
) -> Callable[..., tuple[Models, list[data.PromptRow]]]:
    """Return a function that loads the models of a run, the policy from SFT, and its prompts."""

    def load_models(config: PPOConfig = SMALL) -> tuple[Models, list[data.PromptRow]]:
        paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
        job = make_job(tmp_path, config, "prompts", **paths)
        models = ppo_state.load_models(job, config)
        return models, data.prompts(data.read_rows(job.data_path), models.tokenizer, ("train",))

    return load_models


def optimizer_of(models: Models, rate: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.AdamW(models.weights.masters.values(), lr=rate, weight_decay=0.0)


def move(models: Models) -> None:
    """Make the policy differ from the reference."""
    with torch.no_grad():
        for name, parameter in models.weights.parameters.items():
            if "lora_B" in name:
                parameter.add_(torch.randn(parameter.shape) * 0.2)


def gradients_after(
    models: Models, rollout: ppo_step.Rollout, config: PPOConfig
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the metrics and gradients of one update that moves nothing."""
    optimizer = torch.optim.SGD(models.weights.masters.values(), lr=0.0)
    rows = torch.arange(len(rollout.scores))
    metrics = ppo_step.update(models, optimizer, rollout, rows, config, 0, with_entropy=True)
    found = {
        name: p.grad.clone() for name, p in models.weights.masters.items() if p.grad is not None
    }
    return metrics, found


@pytest.mark.parametrize(
    "changes",
    [{"micro_batch_size": 1}, {"micro_batch_size": 3}, {"gradient_checkpointing": True}],
    ids=str,
)
def test_it_learns_the_same_in_less_memory(
    load: Callable[..., Any], changes: dict[str, Any]
) -> None:
    models, prompts = load()
    rollout = ppo_step.make_rollout(models, prompts[:8], SMALL, 0, 0.1)
    move(models)
    expected, whole = gradients_after(
        models, rollout, dataclasses.replace(SMALL, micro_batch_size=8)
    )
    metrics, parts = gradients_after(models, rollout, dataclasses.replace(SMALL, **changes))
    assert metrics == pytest.approx(expected, abs=1e-4, rel=1e-4)
    assert whole.keys() == parts.keys() == models.weights.masters.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-4, rtol=1e-3)


def test_it_starts_from_the_reference_with_a_ratio_of_one_and_no_kl(
    load: Callable[..., Any],
) -> None:
    models, prompts = load()
    rollout = ppo_step.make_rollout(models, prompts[:8], SMALL, 0, 0.1)
    assert rollout.seen.kl == pytest.approx(0, abs=1e-4)
    metrics, _ = gradients_after(models, rollout, SMALL)
    assert metrics["val/ratio"] == pytest.approx(1, abs=1e-5)
    assert metrics["policy/clipfrac_avg"] == 0
    assert metrics["policy/approxkl_avg"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_it_reads_the_same_under_the_policy_and_the_reference_before_it_learns(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(loading, "pick_dtype", lambda: dtype)
    models, prompts = load()
    ids = [prompt.ids for prompt in prompts[:4]]
    tokens = torch.tensor([[60, 61, 2], [70, 2, 0], [9, 9, 9], [5, 6, 2]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 1]])
    entered = rollouts.enter(models.split, ids, tokens, mask, pad=0)
    with torch.no_grad():
        policy = rollouts.read_completions(models.model, models.split, entered)
        with using(models.model, "reference"):
            reference = rollouts.read_completions(models.model, models.split, entered)
    assert torch.equal(policy.log_probs, reference.log_probs)


def test_it_is_the_base_bit_for_bit_with_its_adapters_off(
    load: Callable[..., Any], tiny_model: Path
) -> None:
    models, prompts = load()
    move(models)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    ids = torch.tensor([prompts[0].ids])
    with torch.no_grad():
        expected = base(input_ids=ids).logits
        assert not torch.equal(models.model(input_ids=ids).logits, expected)
        with using(models.model, None):
            assert torch.equal(models.model(input_ids=ids).logits, expected)


COMPLETIONS = [[5, 6, 7, 2], [8, 2], [9, 10, 11, 12, 13, 2], [14], [60, 61, 62, 2]]


@pytest.fixture(scope="module")
def moved(make_job: MakeJob, sft_adapter: str, reward_adapter: str) -> tuple[Models, list[Any]]:
    """Models whose policy is not the reference, with prompts and what plain passes read."""
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    job = make_job(Path("nowhere"), SMALL, "prompts", **paths)
    models = ppo_state.load_models(job, SMALL)
    move(models)
    rows = data.prompts(data.read_rows(job.data_path), models.tokenizer, ("train",))
    expected = []
    for prompt, completion in zip(rows, COMPLETIONS, strict=False):
        ids = torch.tensor([prompt.ids + completion])
        with torch.no_grad():
            logits = models.model(input_ids=ids).logits[:, len(prompt.ids) - 1 : -1]
        log_probs = token_log_probs(logits, ids[:, len(prompt.ids) :])[0]
        expected.append((prompt.ids, completion, log_probs))
    return models, expected


@settings(max_examples=20, deadline=None)
@given(
    order=st.lists(st.integers(0, len(COMPLETIONS) - 1), min_size=1, max_size=9),
    more_padding=st.integers(0, 3),
    at_once=st.integers(1, 9),
)
def test_its_log_probs_do_not_depend_on_padding_order_or_size_of_the_batch(
    moved: tuple[Models, list[Any]], order: list[int], more_padding: int, at_once: int
) -> None:
    models, known = moved
    chosen = [known[number] for number in order]
    rows = [completion + [0] * more_padding for _, completion, _ in chosen]
    tokens, mask = rollouts.pad_right(rows, 0, torch.device("cpu"))
    for row, (_, completion, _) in enumerate(chosen):
        mask[row, len(completion) :] = 0
    entered = rollouts.enter(models.split, [ids for ids, _, _ in chosen], tokens, mask, pad=0)
    with torch.no_grad():
        for part in rollouts.in_parts(entered, torch.arange(len(chosen)), at_once):
            read = rollouts.read_completions(models.model, models.split, entered.rows(part))
            for place, row in enumerate(part.tolist()):
                _, completion, expected = chosen[row]
                found = read.log_probs[place, : len(completion)]
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_it_measures_a_reference_without_adapter_by_the_reward_model(
    make_job: MakeJob, reward_adapter: str, tiny_model: Path, tmp_path: Path
) -> None:
    """The reference's own adapter is off then; the reward model's must not be."""
    job = make_job(tmp_path, SMALL, "prompts", reward_path=reward_adapter)
    models = ppo_state.load_models(job, SMALL)
    reporter = Reporter(lambda _: None, lambda: False)
    prompts = data.prompts(data.read_rows(job.data_path), models.tokenizer, ("train",))[:4]
    found = ppo.measure(models, None, prompts, SMALL, reporter)
    drawn = rollouts.sample(
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval(),
        [prompt.ids for prompt in prompts],
        models.tokenizer,
        max_new_tokens=SMALL.max_new_tokens,
        generator=torch.Generator().manual_seed(SMALL.seed + 1),
    )
    base = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, num_labels=1, dtype=torch.float32
    )
    base.config.pad_token_id = AutoTokenizer.from_pretrained(reward_adapter).pad_token_id
    outside = PeftModel.from_pretrained(base, reward_adapter).eval()
    scores = []
    for prompt, tokens, mask in zip(prompts, drawn.tokens, drawn.mask, strict=True):
        ids = prompt.ids + tokens[mask.bool()].tolist()
        with torch.no_grad():
            scores.append(outside(input_ids=torch.tensor([ids])).logits.item())
    mean = sum(scores) / len(scores)
    assert found.score == pytest.approx(mean - loading.read_centre(reward_adapter), abs=1e-4)
    assert found.seen.kl == pytest.approx(0, abs=1e-4)


def test_it_keeps_small_updates_that_half_precision_would_lose(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Next to 1 the neighbours in bfloat16 are 1/128 apart: a step of 1e-4 is lost in rounding."""
    monkeypatch.setattr(loading, "pick_dtype", lambda: torch.bfloat16)
    models, prompts = load()
    assert {p.dtype for n, p in models.weights.parameters.items() if "lora" in n} == {
        torch.bfloat16
    }
    before = models.weights.kept()
    optimizer = optimizer_of(models, rate=1e-6)
    metrics, _ = ppo_step.ppo_step(models, optimizer, prompts, SMALL, 0, 0.1)
    assert metrics["val/ratio"] == pytest.approx(1, abs=0.05)
    after = models.weights.kept()
    assert {weights.dtype for weights in after.values()} == {torch.float32}
    assert all(not torch.equal(after[name], weights) for name, weights in before.items())


# What it learns


@dataclass(frozen=True)
class Tilted:
    """What a policy came to, the best that it could, and the reference that it began as.

    Exact means over prompts and all tokens, not estimates.
    """

    reward: float
    kl: float
    best_reward: float
    best_kl: float
    reference_reward: float
    kl_coef: float


def tilted(load: Callable[..., Any], seed: int, price: float, **changes: Any) -> Tilted:
    """Train on one token with a reward that is linear in its embedding: r(x) = e(x)·u.

    The best policy at price β is π*(x) ∝ π_ref(x)·exp(r(x)/β) (Ziegler et al. 2019, eq. 2), whose
    logits h·e + u·e/β this model can give.
    """
    config = PPOConfig(
        batch_size=64, minibatch_size=64, micro_batch_size=64, max_new_tokens=1,
        missing_eos_penalty=0, kl_coef=price, seed=seed, learning_rate=1e-2,
        **{"steps": 6, "ppo_epochs": 3, **changes},
    )  # fmt: skip
    models, prompts = load(config)
    rewards = 2 * loading.head_of(models.model).weight.detach()[:, 3]
    ids = [prompt.ids for prompt in prompts]

    def distribution(adapter: str) -> Tensor:
        with torch.no_grad(), using(models.model, adapter):
            state = rollouts.read_prompts(loading.trunk_of(models.model), ids, pad=0)
            return loading.head_of(models.model)(state.last_hidden).log_softmax(-1)

    def score(_split: object, _head: object, entered: Entered) -> Tensor:
        return rewards[entered.tokens[:, 0]]

    reporter = Reporter(lambda _: None, lambda: False)
    progress = Progress(0, config.kl_coef)
    job = Job(config=config, base_path="", work_dir="", output_dir="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppo_step, "score_completions", score)
        patch.setattr(ppo, "save_resume_point", lambda *_: None)
        optimizer = optimizer_of(models)
        radar = Radar(job, models, [], config, reporter)
        patch.setattr(ppo, "steps_to_look_at", lambda steps: set())
        nobody = FixedPrompts(models.tokenizer, [], seed, reporter, Path("nowhere"))
        ppo.train_until_alarm(
            job, models, optimizer, prompts, [], config, progress, reporter, radar, nobody
        )
    reference = distribution("reference")

    def of(log_probs: Tensor) -> tuple[float, float]:
        probs = log_probs.exp()
        kl = (probs * (log_probs - reference)).sum(-1).mean().item()
        return (probs * rewards).sum(-1).mean().item(), kl

    best = of((reference + rewards / price).log_softmax(-1))
    return Tilted(*of(distribution("policy")), *best, of(reference)[0], progress.kl_coef)


@pytest.mark.parametrize("seed", range(5))
def test_it_learns_a_known_optimum(load: Callable[..., Any], seed: int) -> None:
    """What is maximised is r − β·KL: 0.17 above the reference at best, where the KL is 0.34."""
    found = tilted(load, seed, price=0.5)
    gained = found.reward - 0.5 * found.kl - found.reference_reward
    possible = found.best_reward - 0.5 * found.best_kl - found.reference_reward
    assert 0.85 * possible < gained <= possible
    assert found.kl == pytest.approx(found.best_kl, rel=0.5)


def test_it_settles_nearer_to_the_reference_where_kl_costs_more(load: Callable[..., Any]) -> None:
    """At four times the price the best KL is a sixteenth: it goes with 1/β²."""
    dear = tilted(load, seed=0, price=2.0)
    assert dear.best_kl < 0.03
    assert 0.001 < dear.kl < 0.1


def test_it_steers_kl_to_its_target(load: Callable[..., Any]) -> None:
    """From a price far too low; with a horizon of one step each may change it by a fifth."""
    found = tilted(load, seed=1, price=0.4, target_kl=0.1, kl_horizon=64, steps=14, ppo_epochs=2)
    assert found.best_kl > 0.5
    assert 0.04 < found.kl < 0.25
    assert found.kl_coef > 0.6


def test_it_does_not_unlearn_demonstrations_that_it_mixes_in(
    load: Callable[..., Any],
) -> None:
    """PPO alone pulls towards its reward; the supervised loss pulls back."""
    models, prompts = load()
    shown = data.demonstrated(demonstration_rows(), models.tokenizer, "train")

    def nll() -> float:
        before = models.weights.kept()
        loss = ppo_step.imitate(models, shown[:8], dataclasses.replace(SMALL, ptx_coef=1.0))
        models.weights.forget_gradients()
        models.weights.restore(before)
        return loss

    def score(_split: object, _head: object, entered: Entered) -> Tensor:
        return -entered.mask.sum(dim=1).float()

    found = {}
    start = models.weights.kept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppo_step, "score_completions", score)
        for coefficient in (0.0, 1.0):
            models.weights.restore(start)
            config = dataclasses.replace(SMALL, ptx_coef=coefficient, learning_rate=5e-3)
            optimizer = optimizer_of(models, rate=5e-3)
            for step in range(4):
                metrics, _ = ppo_step.ppo_step(models, optimizer, prompts, config, step, 0.0, shown)
            found[coefficient] = nll()
    assert found[1.0] < found[0.0] - 0.5
    assert metrics["loss/ptx_avg"] > 0


def test_it_mixes_in_the_gradient_of_demonstrations_alone(load: Callable[..., Any]) -> None:
    """In parts or at once: ptx_coef times the gradient of −mean log π over all their tokens."""
    models, _ = load()
    shown = data.demonstrated(demonstration_rows(), models.tokenizer, "train")[:4]
    config = dataclasses.replace(SMALL, ptx_coef=3.0, micro_batch_size=1)
    loss = ppo_step.imitate(models, shown, config)
    found = {n: p.grad.clone() for n, p in models.weights.parameters.items() if p.grad is not None}
    models.weights.forget_gradients()
    total, tokens = torch.zeros(()), 0
    for one in shown:
        ids = torch.tensor([one.prompt + one.completion])
        logits = models.model(input_ids=ids).logits[:, len(one.prompt) - 1 : -1]
        total = total - token_log_probs(logits, ids[:, len(one.prompt) :]).sum()
        tokens += len(one.completion)
    (3.0 * total / tokens).backward()
    assert loss == pytest.approx(total.item() / tokens, rel=1e-4)
    for name, gradient in found.items():
        expected = models.weights.parameters[name].grad
        torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-3)


def test_it_goes_through_demonstrations_in_an_order_of_its_own() -> None:
    items = list(range(10))
    first = shuffled(items, 0, 10, seed=4)
    assert sorted(first) == items
    assert first + shuffled(items, 10, 5, seed=4) == shuffled(items, 0, 15, seed=4)
    assert shuffled(items, 7, 4, seed=4) == shuffled(items, 0, 11, seed=4)[7:]
    assert shuffled(items, 0, 10, seed=5) != first


# What it refuses, and where it stops itself


def test_it_needs_demonstrations_to_mix_in(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(SMALL, ptx_coef=0.5)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match=r"no demonstrations.*freeze prompts again, or set ptx"):
        run_job(job)


def test_it_says_when_prompts_and_completions_do_not_fit_into_the_context(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(SMALL, max_new_tokens=510)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match=r"the base model reads 512\. Lower max_new_tokens"):
        run_job(job)


def test_it_says_that_a_reward_model_does_not_fit_into_the_layers(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    """Of a base that reads the same tokens and is as wide: its files tell the shapes apart."""
    base = build_tiny_model(tmp_path / "other")
    config = LlamaConfig.from_pretrained(base, intermediate_size=48)
    LlamaForCausalLM(config).save_pretrained(base)
    job = make_job(tmp_path, SMALL, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match="its down_proj of layer 0 does not fit"):
        run_job(dataclasses.replace(job, base_path=str(base)))


def test_its_guards_say_what_went_too_far_and_what_to_do() -> None:
    guards = Guards(max_kl=10, max_length_ratio=1.5)
    assert guards.alarm(Seen(kl=10, length=30), 20) is None
    assert "reached 10.1 nats, above max_kl 10" in (guards.alarm(Seen(10.1, 20), 20) or "")
    assert "31.0 tokens, more than 1.5 times the 20.0" in (guards.alarm(Seen(1, 31), 20) or "")
    assert guards.alarm(Seen(1, 31, length_error=1), 20) is None
    assert "Raise kl_coef" in (guards.alarm(Seen(11, 20), 20) or "")


def test_only_a_policy_half_way_to_both_limits_counts_as_from_before_the_slide() -> None:
    guards = Guards(max_kl=10, max_length_ratio=1.5)
    assert guards.is_calm(Seen(kl=5, length=25), 20)
    assert not guards.is_calm(Seen(kl=5.1, length=20), 20)
    assert not guards.is_calm(Seen(kl=1, length=26), 20)


def love_of_length(_split: object, _head: object, entered: Entered) -> Tensor:
    return entered.mask.sum(dim=1).float()


HACKED = PPOConfig(
    steps=20, batch_size=64, minibatch_size=64, micro_batch_size=64, ppo_epochs=1,
    max_new_tokens=24, learning_rate=5e-4, kl_coef=0.0, max_kl=1e6, missing_eos_penalty=0,
    checkpoint_every=2,
)  # fmt: skip


def test_it_stops_a_run_whose_reward_loves_length_and_publishes_what_was_before(
    make_job: MakeJob,
    brief_model: Path,
    reward_adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ppo_step, "score_completions", love_of_length)
    job = make_job(tmp_path, HACKED, "prompts", reward_path=reward_adapter)
    job = dataclasses.replace(job, base_path=str(brief_model))
    output, results, events = run_job(job)
    lengths = [e["values"]["completion_length"] for e in events if e["event"] == "metrics"]
    assert len(lengths) < HACKED.steps
    assert lengths[-1] > 1.5 * lengths[0]
    assert "completions grew to" in results["stopped_early"]
    kept = results["published_step"]
    assert f"Published is the policy of step {kept}" in results["stopped_early"]
    assert 0 < kept < len(lengths)
    assert lengths[kept] <= 1.25 * lengths[0]
    samples = [e["samples"] for e in events if e["event"] == "samples"][-1]
    assert samples[0].keys() == {"prompt", "before", "after", "slid", "steps"}
    assert any(row["after"] != row["slid"] for row in samples)
    assert read_manifest(Path(output))["results"]["published_step"] == kept
    (point,) = Path(job.work_dir).glob("resume-*")
    published = load_file(Path(output) / "adapter_model.safetensors")
    calm = load_file(point / "kept.safetensors")
    assert all(
        torch.equal(calm[name.replace(".weight", ".policy.weight")], value)
        for name, value in published.items()
    )

    # Gone on with from its last resume point, as after a crash, it comes to the same end, although
    # the policy that it publishes was learned before that point.
    again, resumed, events = run_job(dataclasses.replace(job, output_dir=str(tmp_path / "again")))
    assert kept < min(e["step"] for e in events if e["event"] == "progress")
    assert resumed == results
    weights = load_file(Path(again) / "adapter_model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in published.items())


def test_it_tells_a_run_that_slid_at_once_that_there_is_nothing_to_publish(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(SMALL, learning_rate=1e-2, steps=20, kl_coef=0, max_kl=0.01)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match=r"stopped itself at step \d+ of 20.*above max_kl"):
        run_job(job)
    assert not Path(job.output_dir).exists()


def test_it_reports_what_an_engineer_watches(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    """With demonstrations among the prompts, mixed in."""
    rows = write_rows(tmp_path / "rows.jsonl", [*prompt_rows(), *demonstration_rows()])
    config = dataclasses.replace(SMALL, ptx_coef=0.5, steps=2)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    _, results, events = run_job(dataclasses.replace(job, data_path=rows))
    metrics = [e["values"] for e in events if e["event"] == "metrics"][-1]
    assert {
        "objective/kl", "objective/scores", "objective/entropy", "completion_length",
        "policy/clipfrac_avg", "loss/value_avg", "loss/ptx_avg", "val/explained_variance",
        "seconds/rollout", "seconds/scoring", "seconds/optimisation",
    } <= metrics.keys()  # fmt: skip
    assert all(math.isfinite(value) for value in metrics.values())
    assert results["episodes"] == 16
    assert "stopped_early" not in results
    assert steps_shown(events) == ["1"]
