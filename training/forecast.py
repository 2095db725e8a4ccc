"""What a run would need, beside what this machine has: shown in the form before the start."""

from __future__ import annotations

from dataclasses import dataclass

from training.pipeline import preflight
from training.pipeline.errors import PipelineError
from training.pipeline.estimate import LIBRARIES_BYTES, in_words
from training.pipeline.jobs import Job
from training.pipeline.machine import memory_here


@dataclass(frozen=True)
class Forecast:
    """An estimate in words. Everything is empty where nothing can be reckoned."""

    peak: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    """What the peak is made of, each with its size, the largest first."""
    number_type: str = ""
    where: str = ""
    free: str = ""
    total: str = ""
    disk: str = ""
    disk_free: str = ""
    warning: str = ""
    """What may go wrong; the run can be started all the same."""
    refusal: str = ""
    """Why the run can't be started."""


def forecast(job: Job) -> Forecast:
    """Return what the job would need on this machine, and what speaks against it."""
    try:
        preflight.check_files(job)
        needed = preflight.estimate_of(job)
    except PipelineError as error:
        return Forecast(refusal=str(error))
    if needed is None:
        return Forecast()
    memory = memory_here()
    sizes = {
        "weights": needed.weights,
        "adapters and optimiser": needed.adapters,
        "activations": needed.activations,
        "logits": needed.logits,
        "key-value cache": needed.cache,
        "libraries": LIBRARIES_BYTES,
    }
    largest = sorted(sizes.items(), key=lambda part: -part[1])
    return Forecast(
        peak=in_words(needed.peak),
        parts=tuple((name, in_words(size)) for name, size in largest if size),
        number_type="bfloat16" if needed.in_bfloat16 else "float32",
        where=memory.where if memory else "",
        free=in_words(memory.free) if memory else "",
        total=in_words(memory.total) if memory else "",
        disk=in_words(needed.disk),
        disk_free=in_words(preflight.disk_free_of(job)),
        warning=preflight.advice(needed, memory),
    )
