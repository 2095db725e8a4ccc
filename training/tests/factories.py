"""Objects that tests of training start from. Call them with what matters to the test alone."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from django.conf import settings

from annotations.models import Project
from training.models import Checkpoint, DatasetSnapshot, Run, Stage
from training.pipeline.config import CONFIGS, LORA_TARGETS
from training.services import CONTENT_OF

COLUMNS_OF: dict[str, tuple[dict[str, Any], ...]] = {
    "demonstrations": ({"completion": []},),
    "preferences": ({"chosen": [], "rejected": []},),
    "judgements": ({"completion": [], "label": True}, {"completion": [], "label": False}),
    "prompts": ({},),
}
"""What the rows of a snapshot have beside a prompt."""


def make_base_folder(folder: Path) -> Path:
    """Write a folder that passes for a base model without being one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    write_safetensors(folder / "model.safetensors", {})
    return folder


def of_known_size(project: Project) -> Checkpoint:
    """Return a base model whose files say how large it is."""
    folder = make_base_folder(Path(settings.ARTIFACTS_ROOT) / "sized")
    base = make_base(project, name="sized", path=str(folder))
    config = {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "vocab_size": 32,
        "max_position_embeddings": 512,
    }
    Path(base.path, "config.json").write_text(json.dumps(config))
    names = [f"model.layers.0.x.{name}.weight" for name in LORA_TARGETS]
    write_safetensors(Path(base.path, "model.safetensors"), dict.fromkeys(names, (8, 8)))
    return base


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a file of tensors in float32 that are all zero; return it."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    return path


def make_base(project: Project, **changes: Any) -> Checkpoint:
    """Record a base model whose folder is there."""
    folder = make_base_folder(Path(settings.ARTIFACTS_ROOT) / f"base-{project.pk}")
    values = {"name": "base", "kind": Checkpoint.Kind.BASE, "path": str(folder), **changes}
    return Checkpoint.objects.create(project=project, **values)


def make_checkpoint(project: Project, **changes: Any) -> Checkpoint:
    """Record an adapter whose files are whole; its parent is the project's base by default."""
    number = Checkpoint.objects.count() + 1
    path = f"projects/{project.pk}/checkpoints/made-{number}"
    folder = Path(settings.ARTIFACTS_ROOT) / path
    folder.mkdir(parents=True)
    weights = write_safetensors(folder / "adapter_model.safetensors", {})
    files = {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    values = {
        "name": f"checkpoint-{number}",
        "kind": Checkpoint.Kind.POLICY,
        "path": path,
        **changes,
    }
    if "parent" not in values:
        bases = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE)
        values["parent"] = bases.order_by("id").first() or make_base(project)
    return Checkpoint.objects.create(project=project, **values)


def make_snapshot(
    project: Project, content: str = "demonstrations", **changes: Any
) -> DatasetSnapshot:
    """Record a snapshot with a hundred train rows and a file that is there."""
    values = {
        "counts": {
            "rows": {"train": 100, "validation": 10, "test": 10},
            **({"good": {"train": 50}} if content == "judgements" else {}),
        },
        "annotation_ids": [],
        "sha256": "0" * 64,
        "created_by": project.created_by,
        **changes,
    }
    snapshot = DatasetSnapshot.objects.create(project=project, content=content, **values)
    root = Path(settings.ARTIFACTS_ROOT) / "projects" / str(project.pk)
    folder = root / "snapshots" / str(snapshot.pk)
    folder.mkdir(parents=True)
    row: dict[str, Any] = {"split": "train", "prompt": [{"role": "user", "content": "A frog."}]}
    lines = [json.dumps(row | columns) + "\n" for columns in COLUMNS_OF[content]]
    (folder / "rows.jsonl").write_text("".join(lines))
    return snapshot


def make_run(project: Project, stage: str = "sft", **changes: Any) -> Run:
    """Record a queued run that a worker could carry out."""
    values: dict[str, Any] = {
        "config": CONFIGS[stage]().to_dict(),
        "started_by": project.created_by,
        **changes,
    }
    if "parent" not in values:
        bases = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE)
        values["parent"] = bases.order_by("id").first() or make_base(project)
    if "snapshot" not in values and stage not in ("sample", "export", "suite", "replay", "weigh"):
        values["snapshot"] = make_snapshot(project, CONTENT_OF[Stage(stage)])
    return Run.objects.create(project=project, stage=stage, **values)
