"""Rollouts by vLLM: what is asked of it, and that what comes back is what is learned from."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from training.pipeline import data, ppo_state, ppo_step, preflight, rollouts, vllm_rollouts
from training.pipeline.config import PPOConfig, RewardConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.ppo_state import Models
from training.tests.pipeline.conftest import run_job
from training.tests.tiny import build_tiny_model

MakeJob = Callable[..., Job]
CONFIG = PPOConfig(
    rollouts="vllm",
    steps=2,
    batch_size=4,
    minibatch_size=4,
    max_new_tokens=6,
    learning_rate=1e-2,
    ppo_epochs=1,
)
END = 2
LENGTHS = (6, 3, 1, 2)
"""Of what the scripted engine answers: the first never ends."""


class ScriptedLLM:
    """Answers with ids that nobody sampled, and remembers what it was asked."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.asked: list[dict[str, Any]] = []

    def generate(
        self, prompts: list[Any], params: list[Any], *, lora_request: Any, use_tqdm: bool
    ) -> list[Any]:
        name, number, path = lora_request
        adapter = load_file(Path(path) / "adapter_model.safetensors")
        ids = [prompt["prompt_token_ids"] for prompt in prompts]
        self.asked.append(
            {"prompts": ids, "params": params, "id": (name, number), "adapter": adapter}
        )
        return [
            types.SimpleNamespace(outputs=[types.SimpleNamespace(token_ids=tuple(answer))])
            for answer in answers()
        ]


def answers() -> list[list[int]]:
    return [[60] * 6 if n == 6 else [70] * (n - 1) + [END] for n in LENGTHS]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in where vLLM would be, which nothing here depends on."""
    library = types.ModuleType("vllm")
    vars(library).update(LLM=ScriptedLLM, SamplingParams=dict)
    requests = types.ModuleType("vllm.lora.request")
    vars(requests).update(LoRARequest=lambda *values: values)
    for module in (library, types.ModuleType("vllm.lora"), requests):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def load(make_job: MakeJob, sft_adapter: str, reward_adapter: str, tmp_path: Path) -> Any:
    """Return the models of a run with an engine, and the prompts of a step."""
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    job = make_job(tmp_path, CONFIG, "prompts", **paths)
    Path(job.work_dir).mkdir()

    def load_models() -> tuple[Models, list[data.PromptRow]]:
        models = ppo_state.load_models(job, CONFIG)
        prompts = data.prompts(data.read_rows(job.data_path), models.tokenizer, ("train",))[:4]
        longest = max(len(prompt.ids) for prompt in prompts)
        models.engine = vllm_rollouts.Engine(job, CONFIG, models.model, longest)
        return models, prompts

    return load_models


def policy_of(models: Models) -> dict[str, Tensor]:
    found = get_peft_model_state_dict(models.model, adapter_name="policy")
    return {name: weight.clone() for name, weight in found.items()}


@pytest.mark.usefixtures("scripted")
def test_it_draws_with_the_adapter_of_the_step_and_learns_from_what_came_back(load: Any) -> None:
    models, prompts = load()
    llm = models.engine.llm
    optimizer = torch.optim.AdamW(models.weights.masters.values(), lr=1e-2)
    policies = []
    for step in range(2):
        policies.append(policy_of(models))
        rollout = ppo_step.make_rollout(models, prompts, CONFIG, step, 0.1)
        drawn = [
            row[: int(mask.sum())].tolist()
            for row, mask in zip(rollout.sampled.tokens, rollout.sampled.mask, strict=True)
        ]
        assert drawn == answers()
        assert rollout.sampled.ended.tolist() == [False, True, True, True]
        with torch.no_grad():
            read = rollouts.read_completions(models.model, models.split, rollout.entered)
        torch.testing.assert_close(rollout.old_log_probs, read.log_probs)
        metrics = ppo_step.learn(models, optimizer, rollout, CONFIG, step)
        assert metrics["val/ratio"] == pytest.approx(1, abs=1e-6)
        assert not models.engine.folder.exists()  # nothing is left of what was lent

    assert [asked["id"] for asked in llm.asked] == [("step-0", 1), ("step-1", 2)]
    assert all(asked["prompts"] == [prompt.ids for prompt in prompts] for asked in llm.asked)
    for asked, policy in zip(llm.asked, policies, strict=True):
        assert asked["adapter"].keys() == policy.keys()
        assert all(torch.equal(asked["adapter"][name], policy[name]) for name in policy)
    assert any(not torch.equal(policies[0][name], policies[1][name]) for name in policies[0])


@pytest.mark.usefixtures("scripted")
def test_it_asks_for_the_same_again_after_a_restart(load: Any) -> None:
    asked = []
    for _ in range(2):
        models, prompts = load()
        ppo_step.make_rollout(models, prompts, CONFIG, 7, 0.1)
        asked.append(models.engine.llm.asked[0])
    assert asked[0]["params"] == asked[1]["params"]
    params = asked[0]["params"]
    assert len({one["seed"] for one in params}) == len(params)
    assert params[0] | {"seed": 0} == {
        "temperature": 1.0,
        "max_tokens": 6,
        "seed": 0,
        "stop_token_ids": [END],
        "ignore_eos": True,
        "detokenize": False,
    }


def test_it_says_why_it_did_not_start(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)  # as where it is not installed
    with pytest.raises(PipelineError, match=r"vLLM did not start: .*leave rollouts empty"):
        load()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_a_run_is_told_first_that_vllm_is_not_installed(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_text("none")
    job = make_job(tmp_path, CONFIG, "prompts", reward_path=reward_adapter)
    job = dataclasses.replace(job, base_path=str(tmp_path))  # nothing can be loaded from there
    with pytest.raises(PipelineError, match=r"not installed.*pip install vllm.*leave rollouts"):
        preflight.check(job)
    preflight.check(make_job(tmp_path, PPOConfig(), "prompts", reward_path=reward_adapter))


def test_it_is_named_or_nothing() -> None:
    with pytest.raises(PipelineError, match="choose vllm or nothing"):
        PPOConfig(rollouts="sglang")  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Wide:
    """A base that the real engine can read, and a reward model on it."""

    base: Path
    reward: str
    make_job: MakeJob

    def job(self, folder: Path, config: Any, rows: str = "prompts", **more: Any) -> Job:
        job = self.make_job(folder, config, rows, **more)
        return dataclasses.replace(job, base_path=str(self.base))

    def ppo(self, folder: Path, config: PPOConfig = CONFIG) -> Job:
        return self.job(folder, config, reward_path=self.reward)


@pytest.fixture(scope="module")
def wide(make_job: MakeJob, tmp_path_factory: pytest.TempPathFactory) -> Wide:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here")
    folder = tmp_path_factory.mktemp("wide")
    base = build_tiny_model(folder / "base", hidden_size=64)  # heads of 32, the least it knows
    found = Wide(base, "", make_job)
    reward = RewardConfig(batch_size=4, epochs=1)
    return dataclasses.replace(
        found, reward=run_job(found.job(folder / "reward", reward, "preferences"))[0]
    )


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back what the real engine takes away on a processor."""
    monkeypatch.setattr(torch, "set_num_threads", torch.set_num_threads)


@pytest.mark.long
def test_a_run_with_the_real_one_begins_at_its_policy_and_resumes(
    wide: Wide, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, steps=3, checkpoint_every=1)
    output, _, events = run_job(wide.ppo(tmp_path / "whole", config))
    metrics = [e["values"] for e in events if e["event"] == "metrics"]
    steps = [values for values in metrics if "val/ratio" in values]
    assert len(steps) == config.steps
    assert all(values["val/ratio"] == pytest.approx(1, abs=1e-6) for values in steps)
    assert steps[0]["objective/kl"] == pytest.approx(0, abs=1e-6)
    assert steps[2]["objective/kl"] != steps[0]["objective/kl"]

    job = wide.ppo(tmp_path / "parts", config)
    with pytest.raises(RunStopped):
        run_job(job, lambda events: events[-1].get("step") == 1)
    resumed, _, events = run_job(job)
    assert min(e["step"] for e in events if e["event"] == "progress") == 1
    expected, found = (load_file(Path(o) / "adapter_model.safetensors") for o in (output, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.long
def test_the_real_one_draws_what_the_policy_says(wide: Wide, tmp_path: Path) -> None:
    """Its likeliest tokens are those of our own passes, under one policy and under another."""
    config = dataclasses.replace(CONFIG, temperature=0.01)
    job = wide.ppo(tmp_path, config)
    Path(job.work_dir).mkdir()
    models = ppo_state.load_models(job, config)
    rows = data.prompts(data.read_rows(job.data_path), models.tokenizer, ("train",))[:4]
    prompts = [row.ids for row in rows]
    engine = vllm_rollouts.Engine(job, config, models.model, max(map(len, prompts)))
    drawn = []
    for step in range(2):
        models.engine = engine
        theirs = ppo_step.draw(models, prompts, config, step)
        models.engine = None
        ours = ppo_step.draw(models, prompts, config, step)
        assert torch.equal(theirs.tokens, ours.tokens)
        drawn.append(ours.tokens)
        with torch.no_grad():
            for name, weight in models.weights.parameters.items():
                if "lora_B" in name:
                    weight.add_(0.2 * torch.randn(weight.shape, generator=torch.manual_seed(1)))
    assert not torch.equal(drawn[0], drawn[1])
