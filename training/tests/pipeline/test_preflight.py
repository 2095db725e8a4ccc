"""What cannot work is told before a weight is loaded, in words that name the cure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.pipeline import (
    completion_loss,
    data,
    fused_head,
    preflight,
    reward,
    rollouts,
    train,
    trainers,
)
from training.pipeline.checkpoints import seal
from training.pipeline.config import (
    CONFIGS,
    AnyConfig,
    DPOConfig,
    ExportConfig,
    KTOConfig,
    PPOConfig,
    RejectionConfig,
    RewardConfig,
    SFTConfig,
    TrainConfig,
    parse_config,
)
from training.pipeline.errors import PipelineError
from training.pipeline.estimate import (
    GROUP_TOKENS,
    MOST_LOGITS,
    MOST_OF_GROUP,
    PPO_TOKENS_AT_ONCE,
    PPO_TOKENS_IN_FLOAT32,
    TILE_POSITIONS,
    TOKENS_AT_ONCE,
    estimate,
    longest_texts,
)
from training.pipeline.jobs import Job
from training.pipeline.machine import Memory
from training.pipeline.presets import PRESETS
from training.pipeline.shapes import Shape, Tensor, read_shape
from training.tests.factories import write_safetensors

CONFIG = {
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
}
LINEARS = {
    "self_attn.q_proj": (8, 8),
    "self_attn.k_proj": (4, 8),
    "self_attn.v_proj": (4, 8),
    "self_attn.o_proj": (8, 8),
    "mlp.gate_proj": (16, 8),
    "mlp.up_proj": (16, 8),
    "mlp.down_proj": (8, 16),
}
SMALL = {"max_length": 64, "min_rows": 1}
MakeJob = Callable[..., Job]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a folder whose files say what a small Llama's say."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer_config.json").write_text("{}")
    tokenizer = {"model": {"vocab": {"a": 0, "b": 1}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (32, 8)}
    for layer in range(2):
        for name, shape in LINEARS.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    write_safetensors(folder / "model.safetensors", shapes)
    return folder


def adapter(folder: Path, base: Path, width: int = 8) -> str:
    """Write a whole checkpoint whose LoRA reads vectors of this width."""
    folder.mkdir()
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    write_safetensors(folder / "adapter_model.safetensors", {name: (2, width)})
    shutil.copy(base / "tokenizer.json", folder)
    seal(folder, {})
    return str(folder)


@pytest.fixture
def make_trial(base: Path, tmp_path: Path) -> MakeJob:
    """Return a function that makes a job on the base."""

    def make(
        config: AnyConfig | None = None, row: dict[str, Any] | None = None, **more: Any
    ) -> Job:
        rows = tmp_path / "rows.jsonl"
        prompt = [{"role": "user", "content": "x"}]
        rows.write_text(
            json.dumps({"split": "train", "prompt": prompt, "completion": [], **(row or {})}) + "\n"
        )
        return Job(
            config=config or SFTConfig(**SMALL),
            base_path=str(base),
            work_dir=str(tmp_path / "work"),
            output_dir=str(tmp_path / "out"),
            **{"data_path": str(rows), **more},
        )

    return make


def refused(job: Job) -> str:
    with pytest.raises(PipelineError) as caught:
        preflight.check(job)
    return str(caught.value)


def test_it_lets_a_job_pass_that_can_work(make_trial: MakeJob, base: Path, tmp_path: Path) -> None:
    preflight.check(make_trial())
    preflight.check(make_trial(adapter_path=adapter(tmp_path / "adapter", base)))


def test_it_names_the_layers_that_lora_can_be_put_on(make_trial: MakeJob) -> None:
    words = refused(make_trial(SFTConfig(lora_targets="q_proj c_attn", **SMALL)))
    assert "c_attn matches nothing" in words
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in words


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (SFTConfig(max_length=65, min_rows=1), "max_length"),
        (PPOConfig(max_new_tokens=64), "max_new_tokens"),
    ],
)
def test_it_refuses_sequences_longer_than_the_context(
    make_trial: MakeJob, config: AnyConfig, name: str
) -> None:
    words = refused(make_trial(config))
    assert "context is 64" in words
    assert f"Lower {name}" in words


def test_it_refuses_a_snapshot_for_another_stage(make_trial: MakeJob) -> None:
    words = refused(make_trial(RewardConfig(max_length=64)))
    assert "reward learns from a snapshot of preferences" in words


def test_it_refuses_a_snapshot_without_a_train_split(make_trial: MakeJob) -> None:
    assert "no rows in its train split" in refused(make_trial(row={"split": "test"}))


@pytest.mark.parametrize("stage", ["ppo", "grpo", "rloo", "rejection"])
def test_it_asks_for_the_reward_model(make_trial: MakeJob, stage: str) -> None:
    texts = {"max_length": 64} if stage == "rejection" else {}
    config = parse_config(stage, {"max_new_tokens": 8, **texts})
    assert f"{stage} needs a reward model" in refused(make_trial(config))


def test_every_stage_is_known(base: Path) -> None:
    shape = read_shape(base)
    assert shape is not None
    for stage, config in CONFIGS.items():
        assert estimate(config(), shape, in_bfloat16=True) is not None, stage
        assert (stage in preflight.LEARNS_FROM) == issubclass(config, TrainConfig), stage


@pytest.mark.parametrize(("label", "lacking"), [(True, "bad"), (False, "good")])
def test_it_refuses_kto_of_one_class(make_trial: MakeJob, label: bool, lacking: str) -> None:
    words = refused(make_trial(KTOConfig(max_length=64), row={"label": label}))
    assert f"Collect judgements of {lacking} completions" in words


def test_judged_completions_are_no_demonstrations(make_trial: MakeJob) -> None:
    assert "sft learns from a snapshot of demonstr" in refused(make_trial(row={"label": True}))


def test_it_refuses_a_checkpoint_with_a_flipped_byte(
    make_trial: MakeJob, base: Path, tmp_path: Path
) -> None:
    path = adapter(tmp_path / "adapter", base)
    weights = Path(path, "adapter_model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "damaged: adapter_model.safetensors is not what" in refused(
        make_trial(adapter_path=path)
    )


def test_it_refuses_a_base_that_is_cut_off(make_trial: MakeJob, base: Path) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "is cut off" in refused(make_trial())
    weights.write_bytes(b"not a header")
    assert "is no safetensors file" in refused(make_trial())


def test_it_refuses_a_base_that_is_gone_or_pickled(make_trial: MakeJob, base: Path) -> None:
    (base / "pytorch_model.bin").touch()
    assert "convert the model to safetensors" in refused(make_trial())
    shutil.rmtree(base)
    assert "There is no folder" in refused(make_trial())


def test_it_refuses_an_adapter_of_another_base(
    make_trial: MakeJob, base: Path, tmp_path: Path
) -> None:
    path = adapter(tmp_path / "adapter", base, width=12)
    assert "made on another base model" in refused(make_trial(adapter_path=path))


def test_it_refuses_a_reward_model_with_another_tokenizer(
    make_trial: MakeJob, base: Path, tmp_path: Path
) -> None:
    path = adapter(tmp_path / "reward", base)
    ppo = PPOConfig(max_new_tokens=8)
    preflight.check(make_trial(ppo, reward_path=path))
    other = {"model": {"vocab": {"a": 1, "b": 0}, "merges": []}}
    Path(path, "tokenizer.json").write_text(json.dumps(other))
    Path(path, "manifest.json").unlink()
    seal(Path(path), {})
    assert "another tokenizer than the policy" in refused(make_trial(ppo, reward_path=path))


def test_it_refuses_a_full_disk(make_trial: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "disk_free", lambda folder: 1000)
    assert "Free some space first" in refused(make_trial())


def test_it_refuses_a_model_that_is_larger_than_the_machine(
    make_trial: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "memory_here", lambda: Memory("GPU", 1000, 1000))
    assert "Choose a smaller base model" in refused(make_trial())


def test_a_stage_asks_before_it_loads_anything(make_trial: MakeJob) -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(PipelineError, match="matches nothing"):
        train(
            make_trial(SFTConfig(lora_targets="c_attn", **SMALL)),
            report=events.append,
            should_stop=lambda: False,
        )
    assert not events


def test_the_tiny_model_is_what_its_files_say(tiny_model: Path) -> None:
    shape = read_shape(tiny_model)
    assert shape is not None
    assert (shape.hidden, shape.layers, shape.context) == (16, 2, 512)
    assert shape.adapter_parameters(["q_proj"], 4, 1) == 4 * (16 + 16)


def test_an_estimate_by_hand(base: Path) -> None:
    """1 layer of 2 adapted: rank 2 on q alone is 2 × (8 + 8) = 32 parameters."""
    shape = read_shape(base)
    assert isinstance(shape, Shape)
    assert shape.parameters == 32 * 8 + 2 * (64 + 32 + 32 + 64 + 3 * 128)
    config = SFTConfig(
        lora_targets="q_proj", lora_rank=2, lora_layers=1, batch_size=3, max_length=16
    )
    found = estimate(config, shape, in_bfloat16=True)
    assert found is not None
    assert found.weights == 2 * shape.parameters
    assert found.adapters == 16 * 32
    assert found.activations == 48 * (12 * 8 + 2 * 4 + 4 * 16) * 2
    assert found.logits == 48 * 32 * (2 + 32)  # a tile has room for more


def test_an_estimate_goes_by_the_longest_row_where_that_is_shorter(
    make_trial: MakeJob, base: Path
) -> None:
    shape = read_shape(base)
    assert shape is not None
    rows = {
        side: [{"role": "assistant", "content": side[0] * 21}] for side in ("chosen", "rejected")
    }
    job = make_trial(DPOConfig(max_length=64), row=rows)
    prompts, whole, answers = longest_texts(Path(str(job.data_path)))
    assert (whole, answers) == (prompts + 21 // 3, 2)
    of_rewards = estimate(
        RewardConfig(max_length=64, batch_size=4),
        shape,
        in_bfloat16=True,
        prompt_tokens=prompts,
        row_tokens=whole,
        answers=answers,
    )
    assert of_rewards is not None
    group = prompts + 2 * 7
    assert of_rewards.activations == 2 * 4 * group * (12 * 8 + 2 * 4 + 4 * 16) * 2
    for known, length in ((whole, min(whole, 64)), (10_000, 64), (None, 64)):
        found = estimate(job.config, shape, in_bfloat16=True, row_tokens=known)
        assert found is not None
        tokens = min(TOKENS_AT_ONCE, 8 * 2 * length)
        assert found.activations == 2 * tokens * (12 * 8 + 2 * 4 + 4 * 16) * 2


def test_ppo_in_float32_reads_a_few_rows_of_a_minibatch_at_a_time(base: Path) -> None:
    """512 tokens, and the template of the prompts once, unless it is told how many rows."""
    shape = read_shape(base)
    assert shape is not None

    def tokens(*, in_bfloat16: bool = False, **changes: Any) -> float:
        config = PPOConfig(batch_size=32, minibatch_size=32, max_new_tokens=36, **changes)
        found = estimate(config, shape, in_bfloat16=in_bfloat16, prompt_tokens=64)
        assert found is not None
        heads = 0 if in_bfloat16 else 3 * 2 * 100
        of_token = (12 * 8 + 2 * 4 + 4 * 16 + heads) * (2 if in_bfloat16 else 4) * shape.layers
        return found.activations / of_token

    assert tokens() == 512 + 40
    assert tokens(micro_batch_size=32) == 32 * 60 + 40
    assert tokens(micro_batch_size=4) == 4 * 60 + 40
    assert tokens(in_bfloat16=True) == 32 * 60 + 40  # a GPU takes them all
    # What is computed again is read whole, with one layer of activations.
    assert tokens(micro_batch_size=4, gradient_checkpointing=True) < 4 * 100


def test_every_weight_trained_takes_sixteen_bytes(base: Path) -> None:
    shape = read_shape(base)
    assert shape is not None
    config = SFTConfig(full=True, learning_rate=2e-5, lora_layers=1)
    found = estimate(config, shape, in_bfloat16=True)
    assert found is not None
    assert (found.weights, found.adapters) == (16 * shape.parameters, 0)
    assert found.disk > 28 * shape.parameters  # two resume points of 12 bytes, the model of 4


def test_export_writes_the_whole_model(base: Path) -> None:
    shape = read_shape(base)
    assert shape is not None
    whole, half = (
        estimate(ExportConfig(half_precision=half), shape, in_bfloat16=True)
        for half in (False, True)
    )
    assert whole is not None
    assert half is not None
    assert whole.disk - half.disk == 2 * shape.parameters


def test_rejection_needs_what_its_larger_part_needs(base: Path) -> None:
    shape = read_shape(base)
    assert shape is not None
    config = RejectionConfig(best_of=4)
    parts = (config, config.sampling(), config.fine_tuning())
    written = 64 + config.max_new_tokens  # what is learned from is what was drawn
    found = [estimate(part, shape, in_bfloat16=True, row_tokens=written) for part in parts]
    whole, *of_parts = (one for one in found if one is not None)
    assert whole.peak == max(part.peak for part in of_parts)
    assert whole.disk == max(part.disk for part in of_parts)


@pytest.mark.parametrize("stage", list(PRESETS))
def test_the_presets_for_7b_fit_into_80_gb(stage: str) -> None:
    """The sizes are Qwen2.5-7B's, whose vocabulary is the largest of its kind."""
    width, inner, narrow, vocabulary, layers = 3584, 18944, 512, 152_064, 28
    linears = {
        "q_proj": (width, width),
        "k_proj": (narrow, width),
        "v_proj": (narrow, width),
        "o_proj": (width, width),
        "gate_proj": (inner, width),
        "up_proj": (inner, width),
        "down_proj": (width, inner),
    }
    tensors = [Tensor("embed.weight", (vocabulary, width)), Tensor("head", (vocabulary, width))]
    for layer in range(layers):
        tensors += [Tensor(f"model.layers.{layer}.{n}.weight", s) for n, s in linears.items()]
    shape = Shape(tuple(tensors), width, inner, layers, 28, narrow, vocabulary, 32_768)
    (preset,) = [one for one in PRESETS[stage] if one.name == "7b"]
    found = estimate(parse_config(stage, preset.values), shape, in_bfloat16=True, prompt_tokens=512)
    assert found is not None
    assert found.peak < 80e9


def test_smaller_settings_need_less(base: Path) -> None:
    shape = read_shape(base)
    assert shape is not None

    def peak(**changes: Any) -> int:
        found = estimate(SFTConfig(**{"batch_size": 8, **changes}), shape, in_bfloat16=False)
        assert found is not None
        return found.peak

    whole = peak()
    assert peak(batch_size=4) < whole
    assert peak(max_length=128) < whole
    assert peak(gradient_checkpointing=True) < whole
    assert peak(micro_batch_size=2) < whole
    assert peak(lora_layers=1) < whole
    assert peak(lora_rank=64) > whole


def test_the_tokens_at_once_are_those_of_the_stages() -> None:
    assert reward.TOKENS_AT_ONCE == trainers.TOKENS_AT_ONCE == TOKENS_AT_ONCE
    assert rollouts.TOKENS_AT_ONCE["cuda"] == PPO_TOKENS_AT_ONCE
    assert rollouts.TOKENS_AT_ONCE["cpu"] == PPO_TOKENS_IN_FLOAT32
    assert completion_loss.MOST_LOGITS == MOST_LOGITS
    assert (data.MAX_GROUP, data.MAX_GROUP_TOKENS) == (MOST_OF_GROUP, GROUP_TOKENS)
    assert fused_head.TILE == TILE_POSITIONS
