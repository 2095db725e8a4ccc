"""What this machine has: memory, disk, a GPU. No torch here; the web process asks, too."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from training.pipeline.errors import PipelineError

NVIDIA_SMI = ("nvidia-smi", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits")
NVIDIA_SMI_USE = (
    "nvidia-smi",
    "--query-gpu=index,utilization.gpu,memory.used,memory.total",
    "--format=csv,noheader,nounits",
)
MIB = 2**20
MEMINFO, CPUINFO = Path("/proc/meminfo"), Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """The memory that a run would use: a GPU's where there is one, else the machine's."""

    where: str
    """`GPU` or `memory`, as a sentence names it."""
    total: int
    """Bytes."""
    free: int
    """Bytes, now."""


@dataclass(frozen=True)
class GpuUse:
    """What one GPU of this machine does now."""

    index: int
    busy: float
    """The share of the last moments in which it computed, from 0 to 1."""
    memory_used: int
    """Bytes."""
    memory_total: int


def gpus_in_use() -> list[GpuUse]:
    """Return what each GPU of this machine does; an empty list where there is none."""
    if shutil.which(NVIDIA_SMI_USE[0]) is None:
        return []
    try:
        done = subprocess.run(NVIDIA_SMI_USE, capture_output=True, text=True, timeout=5, check=True)
        return [_gpu_use(line) for line in done.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []  # a driver without a device, or one that does not tell


def gpu_count() -> int:
    """Return how many GPUs of this machine a process that is started now may use."""
    found = len(gpus_in_use())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    return min(found, sum(1 for name in visible.split(",") if name.strip()))


def memory_here() -> Memory | None:
    """Return the memory of the first GPU, else of the machine; None where nobody can tell."""
    return _gpu_memory() or _main_memory()


def disk_free(folder: Path) -> int:
    """Return the bytes that are free where `folder` lies or will lie."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def chosen_dtype() -> str:
    """Return in what the operator lets runs compute, or nothing where the hardware decides."""
    chosen = os.environ.get("TRAINING_DTYPE", "")
    if chosen not in ("", "float32", "bfloat16"):
        raise PipelineError(
            f"The setting TRAINING_DTYPE is {chosen!r}. Choose float32 or bfloat16, or leave it "
            "out: then the hardware decides."
        )
    return chosen


def computes_in_bfloat16() -> bool:
    """Return whether runs use bfloat16 here (`loading.pick_dtype` decides, with torch's help)."""
    if chosen := chosen_dtype():
        return chosen == "bfloat16"
    if _gpu_memory() is not None:
        return True
    try:
        return "avx512_bf16" in CPUINFO.read_text()
    except OSError:
        return False


def _gpu_memory() -> Memory | None:
    if shutil.which(NVIDIA_SMI[0]) is None:
        return None
    try:
        done = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, timeout=5, check=True)
        total, free = done.stdout.splitlines()[0].split(",")
        return Memory("GPU", int(total) * MIB, int(free) * MIB)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None  # a driver without a device: the run will use the machine's memory


def _gpu_use(line: str) -> GpuUse:
    index, busy, used, total = (int(part) for part in line.split(","))
    return GpuUse(index, busy / 100, used * MIB, total * MIB)


def _main_memory() -> Memory | None:
    try:
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        total, free = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError, IndexError):
        return None
    limit, used = _bytes_in(CGROUP / "memory.max"), _bytes_in(CGROUP / "memory.current")
    if limit is not None and limit < total:
        total, free = limit, min(free, max(0, limit - (used or 0)))
    return Memory("memory", total, free)


def _bytes_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return None
