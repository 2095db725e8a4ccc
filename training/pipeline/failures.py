"""What a failure means, and which settings mend it. No torch here."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.pipeline import estimate
from training.pipeline.config import AnyConfig
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.machine import disk_free
from training.pipeline.preflight import estimate_of

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
NO_PRIMITIVE = "could not create a primitive"
"""All that torch's products on a processor say when they get no memory. With more words behind it,
it is something else: a shape or a type that they do not know."""
DISK_FULL = ("no space left on device", "os error 28", "disk quota exceeded")
"""How libraries that are not written in Python say so."""
SHORTEST = 16
"""Tokens below which texts are not shortened any more."""
LEAST_OF_KTO = 2
"""Rows: its KL is estimated within a batch."""


def explain(error: BaseException, job: Job | None) -> PipelineError | None:
    """Return what the engineer can act on, or None for an error that nobody foresaw."""
    if isinstance(error, PipelineError):
        return error
    if any(_is_disk_full(one) for one in _chain(error)):
        return _disk_full(job)
    if any(_is_out_of_memory(one) for one in _chain(error)):
        return _out_of_memory(job)
    return None


def for_memory(config: AnyConfig) -> dict[str, Any]:
    """Return settings that need less memory and learn the same where that is possible.

    Fewer rows at a time come first, then activations computed again; when nothing is left to
    halve, shorter texts, which do change what is learned.

    >>> from training.pipeline.config import SFTConfig
    >>> for_memory(SFTConfig(batch_size=8))
    {'micro_batch_size': 4, 'gradient_checkpointing': True}
    >>> for_memory(SFTConfig(batch_size=1, gradient_checkpointing=True, max_length=256))
    {'max_length': 128}
    """
    has = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    change = _fewer_rows(has)
    if has.get("gradient_checkpointing") is False:
        change["gradient_checkpointing"] = True
    if not change:
        change = _shorter_texts(has)
    return change


def _fewer_rows(has: dict[str, Any]) -> dict[str, Any]:
    """Return half as many rows at a time, by a setting that learns the same if there is one."""
    whole = has.get("batch_size", 1) // has.get("processes", 1)
    change: dict[str, Any] = {}
    if "micro_batch_size" in has:
        if "minibatch_size" in has:
            whole = has["minibatch_size"] // has.get("processes", 1)
        if smaller := _half(has["micro_batch_size"] or whole, whole):
            change["micro_batch_size"] = smaller
    elif "minibatch_size" in has:
        if smaller := _half(has["minibatch_size"], whole):
            change["minibatch_size"] = smaller
    elif (smaller := _half(whole, whole)) and not (
        has["stage"] == "kto" and smaller < LEAST_OF_KTO
    ):
        change["batch_size"] = smaller * has.get("processes", 1)
    if smaller := has.get("sampling_batch_size", 0) // 2:
        change["sampling_batch_size"] = smaller
    return change


def _shorter_texts(has: dict[str, Any]) -> dict[str, Any]:
    for name in ("max_length", "max_new_tokens"):
        if has.get(name, 0) > SHORTEST:
            return {name: max(SHORTEST, has[name] // 2)}
    return {}


def cure(change: dict[str, Any]) -> str:
    """Return the change as a sentence asks for it, or another cure where no setting is left.

    >>> cure({"micro_batch_size": 4, "gradient_checkpointing": True})
    'Start again with micro_batch_size 4 and gradient_checkpointing on.'
    >>> cure({})
    'Free some memory on that machine, or choose a larger one, and start again.'
    """
    if not change:
        return "Free some memory on that machine, or choose a larger one, and start again."
    words = [
        f"{name} {'on' if value is True else 'off' if value is False else value}"
        for name, value in change.items()
    ]
    return f"Start again with {' and '.join(words)}."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    number = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    return number in (errno.ENOSPC, errno.EDQUOT) or any(words in text for words in DISK_FULL)


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    found = text == NO_PRIMITIVE or any(words in text for words in OUT_OF_MEMORY)
    return found or isinstance(error, MemoryError)


def _disk_full(job: Job | None) -> PipelineError:
    where = "The disk is full"
    if job is not None:
        left = estimate.in_words(disk_free(Path(job.work_dir)))
        where += f": {left} are left where {job.work_dir} lies"
    return PipelineError(
        f"{where}. Nothing half-written counts as a checkpoint. Free some space and start the run "
        "again."
    )


def _out_of_memory(job: Job | None) -> PipelineError:
    if job is None:
        return PipelineError("The machine ran out of memory. Free some and start the run again.")
    needed, change = _estimate_of(job), for_memory(job.config)
    about = f" It was reckoned to need up to {needed}." if needed else ""
    return PipelineError(f"The device ran out of memory.{about} {cure(change)}", change=change)


def _estimate_of(job: Job) -> str:
    try:
        found = estimate_of(job)
    except PipelineError:
        return ""
    return estimate.in_words(found.peak) if found else ""


def _half(size: int, whole: int) -> int:
    """Return the largest divisor of `whole` that is at most half of `size`; 0 if there is none."""
    return next((n for n in range(size // 2, 0, -1) if whole % n == 0), 0)
