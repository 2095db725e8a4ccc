"""A run in several processes: started by `accelerate launch`, with the loss of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training.pipeline import launch, preflight
from training.pipeline.config import (
    AnyConfig,
    DPOConfig,
    PPOConfig,
    RewardConfig,
    SFTConfig,
    parse_config,
)
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import demonstration_rows, prompt_rows, write_rows

MakeJob = Callable[..., Job]
TWO = {"batch_size": 4, "epochs": 0.4, "learning_rate": 1e-3}


def written(job: Job, folder: Path) -> str:
    path = folder / "job.json"
    path.write_text(json.dumps(job.to_dict()))
    return str(path)


def losses(events: list[dict[str, Any]]) -> list[float]:
    metrics = [e["values"] for e in events if e["event"] == "metrics"]
    return [values["loss"] for values in metrics if "loss" in values]


def started(job: Job, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("LOCAL_RANK", None)
    return subprocess.Popen(
        [sys.executable, "-m", "training.pipeline", written(job, folder)],
        stdout=subprocess.PIPE,
        stderr=(folder / "log.txt").open("w"),
        env=environment,
        text=True,
        start_new_session=True,
    )


def said(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "rows", "steps"),
    [
        (SFTConfig(**TWO), "demonstrations", 4),
        (RewardConfig(**TWO), "preferences", 4),
        (DPOConfig(**TWO), "preferences", 6),
    ],
    ids=lambda value: getattr(value, "stage", None),
)
def test_two_processes_learn_what_one_does(
    make_job: MakeJob, tmp_path: Path, config: AnyConfig, rows: str, steps: int
) -> None:
    one, results, events = run_job(make_job(tmp_path / "one", config, rows))
    (tmp_path / "two").mkdir()
    of_two = replace(config, processes=2)  # type: ignore[call-arg]  # each of these has it
    process = started(make_job(tmp_path / "two", of_two, rows), tmp_path)
    together = said(process)
    assert process.wait() == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert losses(together) == pytest.approx(losses(events), abs=1e-4)
    assert len(losses(together)) == len(losses(events)) == steps
    (done,) = [event for event in together if event["event"] == "done"]
    for name, value in results.items():
        # Where each process averages over batches of its own, means are only nearly equal. The KL
        # of dpo is that of answers, which are shorter in this process (`short_samples`).
        if isinstance(value, float) and name != "kl":
            assert done["results"][name] == pytest.approx(value, abs=1e-2), name
    ours = load_file(Path(done["output"]) / "adapter_model.safetensors")
    for name, value in load_file(Path(one) / "adapter_model.safetensors").items():
        assert torch.allclose(ours[name], value, atol=1e-5), name


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_draw_and_learn_by_ppo_what_one_does(
    make_job: MakeJob, brief_model: Path, reward_adapter: str, tmp_path: Path
) -> None:
    """With all that a step may hold, completions of unequal length, stopped and gone on with."""
    config = PPOConfig(
        steps=4, batch_size=8, minibatch_size=4, max_new_tokens=12, learning_rate=1e-3,
        ptx_coef=0.5, whiten_rewards=True, target_kl=0.1, kl_horizon=20, checkpoint_every=2,
    )  # fmt: skip
    rows = write_rows(tmp_path / "rows.jsonl", [*prompt_rows(), *demonstration_rows()])
    known = {"base_path": str(brief_model), "data_path": rows}

    def job_in(folder: str, processes: int) -> Job:
        (tmp_path / folder).mkdir()
        config_of = replace(config, processes=processes)
        made = make_job(tmp_path / folder, config_of, "prompts", reward_path=reward_adapter)
        return replace(made, **known)

    one, results, events = run_job(job_in("one", 1))
    job = job_in("two", 2)
    stopped = started(job, tmp_path)
    assert stopped.stdout is not None
    for line in stopped.stdout:  # a stop that one hears stops both, behind a resume point
        if '"metrics"' in line:
            first = json.loads(line)
            os.killpg(stopped.pid, signal.SIGTERM)
            break
    rest = said(stopped)
    stopped.wait()
    assert rest[-1]["event"] == "stopped", (tmp_path / "log.txt").read_text()[-3000:]
    process = started(job, tmp_path)
    again = said(process)
    assert process.wait() == 0, (tmp_path / "log.txt").read_text()[-3000:]

    told = [e["values"] for e in [first, *rest, *again] if e["event"] == "metrics"]
    wanted = [e["values"] for e in events if e["event"] == "metrics"]
    assert len(told) == len(wanted) == 4
    for ours, theirs in zip(told, wanted, strict=True):
        for name in set(theirs) - {"eps"}:
            if not name.startswith("seconds/"):
                assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-5), name
    (done,) = [event for event in again if event["event"] == "done"]
    for name in results:
        assert done["results"][name] == pytest.approx(results[name], rel=1e-4), name
    ours = load_file(Path(done["output"]) / "adapter_model.safetensors")
    for name, value in load_file(Path(one) / "adapter_model.safetensors").items():
        assert torch.allclose(ours[name], value, atol=1e-5), name


def test_a_job_of_one_process_needs_no_launcher(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(tmp_path, SFTConfig(), "demonstrations")
    assert launch.command_for(written(job, tmp_path)) is None
    assert launch.command_for(str(tmp_path / "nowhere.json")) is None


def test_a_launched_process_launches_nothing(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, SFTConfig(processes=2), "demonstrations")
    path = written(job, tmp_path)
    command = launch.command_for(path)
    assert command is not None
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert launch.command_for(path) is None


@pytest.mark.parametrize("sharding", ["", "fsdp", "deepspeed"])
def test_accelerate_understands_what_it_is_told(tmp_path: Path, sharding: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = SFTConfig(processes=2, sharding=sharding)  # type: ignore[arg-type]  # any str
    file = tmp_path / "accelerate.json"
    file.write_text(json.dumps(launch.accelerate_settings(config)))
    read = load_config_from_file(str(file))
    kinds = {"": "MULTI_GPU", "fsdp": "FSDP", "deepspeed": "DEEPSPEED"}
    assert (read.num_processes, read.distributed_type.value) == (2, kinds[sharding])


def environment_of(sharding: str, folder: Path) -> dict[str, str]:
    """Return what `accelerate launch` would tell the processes, short of starting them."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    config = SFTConfig(processes=2, sharding=sharding)  # type: ignore[arg-type]  # any str
    file = folder / "accelerate.json"
    file.write_text(json.dumps(launch.accelerate_settings(config)))
    parser = launch_command_parser()
    arguments = ["--config_file", str(file), "-m", "training.pipeline", "job.json"]
    told, _, _ = _validate_launch_command(parser.parse_args(arguments))
    if sharding == "deepspeed":
        told.deepspeed_fields_from_accelerate_config = ""
        return dict(prepare_deepspeed_cmd_env(told)[1])
    return dict(prepare_multi_gpu_env(told))


def test_fsdp_is_told_to_keep_a_part_of_each_layer_in_each_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.utils import FullyShardedDataParallelPlugin

    for name, value in environment_of("fsdp", tmp_path).items():
        monkeypatch.setenv(name, value)
    assert launch.is_sharded()
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert plugin.cpu_ram_efficient_loading


def test_deepspeed_is_told_to_spread_weights_gradients_and_optimiser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.utils import DeepSpeedPlugin

    for name, value in environment_of("deepspeed", tmp_path).items():
        monkeypatch.setenv(name, value)
    assert launch.is_sharded()
    plugin = DeepSpeedPlugin()
    assert plugin.zero_stage == 3
    assert plugin.zero3_save_16bit_model


@pytest.mark.parametrize(
    ("gpus", "config", "words", "change"),
    [
        (0, {"sharding": "fsdp"}, "this run has none. Leave sharding empty", {"sharding": ""}),
        (2, {}, "processes is 4, one a GPU, and the machine", {}),
    ],
)
def test_more_processes_than_gpus_are_told_before_anything_is_loaded(
    make_job: MakeJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    config: dict[str, Any],
    words: str,
    change: dict[str, Any],
) -> None:
    monkeypatch.setattr(launch, "gpu_count", lambda: gpus)
    job = make_job(tmp_path, SFTConfig(batch_size=4, processes=4, **config), "demonstrations")
    assert launch.command_for(written(job, tmp_path)) is None  # the run itself says why
    with pytest.raises(PipelineError, match=words) as refusal:
        run_job(job)
    assert refusal.value.change == change


def test_deepspeed_is_asked_for_before_the_run_is_queued(make_job: MakeJob, tmp_path: Path) -> None:
    if launch.importlib.util.find_spec("deepspeed"):
        pytest.skip("deepspeed is installed here.")
    job = make_job(tmp_path, SFTConfig(processes=2, sharding="deepspeed"), "demonstrations")
    assert launch.command_for(written(job, tmp_path)) is None
    with pytest.raises(PipelineError, match="pip install deepspeed") as refusal:
        preflight.check_files(job)
    assert refusal.value.change == {"sharding": "fsdp"}


def test_a_process_knows_that_another_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = RuntimeError("[pair.cc:553] Connection closed by peer [127.0.0.1]:58014.")
    assert not launch.lost_another(gone)  # of one process nobody can be
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launch.lost_another(gone)
    assert not launch.lost_another(RuntimeError("The loss is NaN."))


def test_only_the_first_process_speaks_and_any_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[dict[str, Any]] = []
    monkeypatch.setenv("RANK", "1")
    report = launch.speaking(heard.append)
    for event in ("phase", "metrics", "error", "done"):
        report({"event": event})
    assert [event["event"] for event in heard] == ["error"]
    monkeypatch.setenv("RANK", "0")
    launch.speaking(heard.append)({"event": "done"})
    assert heard[-1] == {"event": "done"}


@pytest.mark.parametrize(
    ("stage", "values", "words"),
    [
        ("sft", {"processes": 3}, "batch_size 8 is not a multiple of processes 3"),
        ("sft", {"sharding": "fsdp"}, "sharding needs several processes"),
        ("sft", {"processes": 2, "sharding": "x"}, "choose fsdp, deepspeed or nothing"),
        ("sft", {"processes": 2, "micro_batch_size": 3}, "no divisor of the 4 rows"),
        ("ppo", {"processes": 4, "minibatch_size": 2}, "minibatch_size 2 is not a multiple"),
        ("ppo", {"processes": 2, "minibatch_size": 8, "rollouts": "vllm"}, "vLLM draws for one"),
        ("ppo", {"processes": 2, "minibatch_size": 8, "micro_batch_size": 8}, "from 0 to 4"),
    ],
)
def test_it_refuses_processes_that_cannot_share(
    stage: str, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(PipelineError, match=words):
        parse_config(stage, {"batch_size": 8, **values})
