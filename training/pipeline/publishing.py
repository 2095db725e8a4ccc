"""Put a finished adapter, or a finished model, where checkpoints lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.pipeline.checkpoints import publish
from training.pipeline.jobs import Job


def publish_adapter(
    job: Job,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    adapter: str,
    results: dict[str, Any],
    *,
    files: Mapping[str, str] | None = None,
    weights: dict[str, Any] | None = None,
) -> None:
    """Write one adapter, the tokenizer and the manifest to the output folder, whole or not.

    `files` are texts that belong to the checkpoint, by their names. `weights` are those of the
    whole model where the model itself has only a part of them.
    """

    settings = model.peft_config[adapter]
    for name, value in vars(settings).items():
        if isinstance(value, set):  # written in another order, and so with another hash, each time
            setattr(settings, name, sorted(value))

    def write(folder: Path) -> None:
        model.save_pretrained(
            folder, selected_adapters=[adapter], safe_serialization=True, state_dict=weights
        )
        if adapter != "default":  # PEFT puts a named adapter into a folder of that name
            for path in (folder / adapter).iterdir():
                path.rename(folder / path.name)
            (folder / adapter).rmdir()
        tokenizer.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        for name, text in (files or {}).items():
            (folder / name).write_text(text, encoding="utf-8")

    manifest = {"config": job.config.to_dict(), "provenance": job.provenance, "results": results}
    publish(Path(job.output_dir), write, manifest)


def publish_model(
    job: Job,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    results: dict[str, Any],
    *,
    weights: dict[str, Any] | None = None,
) -> None:
    """Write a model of its own, with its tokenizer and the manifest, whole or not.

    `weights` as above.
    """

    def write(folder: Path) -> None:
        model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)

    manifest = {
        "weights": "full",
        "config": job.config.to_dict(),
        "provenance": job.provenance,
        "results": results,
    }
    publish(Path(job.output_dir), write, manifest)
