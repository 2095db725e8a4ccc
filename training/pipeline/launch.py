"""One run in several processes, through `accelerate launch`. No torch here.

The process that was started becomes the launcher (exec, so that its supervisor keeps the process
that it knows) and starts one process a GPU. The first of them speaks; all of them may fail.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from training.pipeline import orphans
from training.pipeline.config import SharedConfig
from training.pipeline.errors import PipelineError
from training.pipeline.events import Report
from training.pipeline.jobs import Job
from training.pipeline.machine import gpu_count

ACCELERATE: dict[str, dict[str, Any]] = {
    "": {"distributed_type": "MULTI_GPU"},
    "fsdp": {
        "distributed_type": "FSDP",
        "fsdp_config": {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_cpu_ram_efficient_loading": True,
        },
    },
    "deepspeed": {
        "distributed_type": "DEEPSPEED",
        "deepspeed_config": {
            "zero_stage": 3,
            "zero3_init_flag": True,
            "zero3_save_16bit_model": True,
        },
    },
}
"""What accelerate is told for each way of spreading the weights."""
ANOTHER_GONE = ("Connection closed by peer", "Connection reset by peer", "remote process exited")
"""How gloo and NCCL say that another process of the run has ended."""


def check_installed(config: object) -> None:
    """Raise PipelineError where the weights are to be spread by what is not installed here."""
    if sharding_of(config) == "deepspeed" and importlib.util.find_spec("deepspeed") is None:
        raise PipelineError(
            "sharding asks for deepspeed, which is not installed where the run is carried out. "
            "Install it there (pip install deepspeed), or choose fsdp, which comes with torch.",
            change={"sharding": "fsdp"},
        )


def check_gpus(config: object) -> None:
    """Raise PipelineError where this machine has fewer GPUs than the run has processes for them.

    Without any GPU the processes share the processor; only then each has all of the weights.
    """
    if not isinstance(config, SharedConfig) or config.processes < 2:
        return
    gpus, sharding = gpu_count(), sharding_of(config)
    if gpus == 0 and sharding:
        raise PipelineError(
            f"sharding is {sharding}, which spreads the weights over GPUs, and the machine "
            "that carries out this run has none. Leave sharding empty: the processes then share "
            "the processor and each has all of the weights.",
            change={"sharding": ""},
        )
    if 0 < gpus < config.processes:
        raise PipelineError(
            f"processes is {config.processes}, one a GPU, and the machine that carries out this "
            f"run has {gpus}. Lower processes to {gpus} at most.",
        )


def command_for(path: str) -> list[str] | None:
    """Return what starts the job's processes, or None for a job of one process.

    The processes themselves come by here, too: those are told by the launcher which they are. A
    job that can't be spread so has none: the run itself says what is wrong with it.
    """
    try:
        job = Job.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        if processes_of(job.config) < 2 or "LOCAL_RANK" in os.environ:
            return None
        check_installed(job.config)
        check_gpus(job.config)
    except (OSError, ValueError, KeyError, TypeError, PipelineError):
        return None
    work = Path(job.work_dir)
    work.mkdir(parents=True, exist_ok=True)
    settings = work / "accelerate.json"
    settings.write_text(json.dumps(accelerate_settings(job.config), indent=1), encoding="utf-8")
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(settings)]
    return [*launcher, "-m", "training.pipeline", path]


def accelerate_settings(config: Any) -> dict[str, Any]:
    """Return accelerate's own settings for a run of several processes on this machine."""
    return {
        "compute_environment": "LOCAL_MACHINE",
        "num_machines": 1,
        "machine_rank": 0,
        "num_processes": processes_of(config),
        "main_process_port": 0,
        "mixed_precision": "no",
        "use_cpu": False,
        "debug": False,
        **ACCELERATE[sharding_of(config)],
    }


def processes_of(config: object) -> int:
    """Return how many processes the run has."""
    return config.processes if isinstance(config, SharedConfig) else 1


def sharding_of(config: object) -> str:
    """Return how the processes share the weights: "fsdp", "deepspeed", or not at all."""
    return str(getattr(config, "sharding", ""))


def is_first() -> bool:
    """Return whether this process is the run's only or first one: who speaks and publishes."""
    return os.environ.get("RANK", "0") == "0"


def is_sharded() -> bool:
    """Return whether no process has all the weights."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name, "").lower() == "true" for name in names)


def speaking(report: Report) -> Report:
    """Return what reports for this process: of the others only why they failed."""
    if is_first():
        return report

    def report_failure(event: dict[str, Any]) -> None:
        if event["event"] == "error":
            report(event)

    return report_failure


def lost_another(error: BaseException) -> bool:
    """Return whether this process of several failed because another is there no more."""
    return "LOCAL_RANK" in os.environ and any(words in str(error) for words in ANOTHER_GONE)


def die_with_launcher() -> None:
    """Have this process killed when its launcher is: it lives in a session of its own."""
    if "LOCAL_RANK" in os.environ:
        orphans.end_with(os.getppid())
