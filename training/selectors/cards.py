"""What a checkpoint's model card says, from what is on record about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.db.models import Count

from training import suite_table
from training.figures import percent
from training.model_card import Card, HumanData, Measured, card_text
from training.models import Checkpoint, Evaluation, SnapshotAnnotation
from training.selectors.checkpoints import lineage
from training.selectors.evaluations import evaluation_result
from training.selectors.gate import gate_refusal
from training.selectors.recalls import recalled_annotations
from training.selectors.sources import Source, sources
from training.selectors.suites import latest_suite, rival_of

LICENSE = re.compile(r"\A---\n(?:.*\n)*?license:[ \t]*[\"']?([\w.+-]+)", re.ASCII)
README_CHARS = 20_000


def model_card(checkpoint: Checkpoint, *, merged: bool = False) -> str:
    """Return the checkpoint's model card; `merged` is of the plain model that an export leaves."""
    line = lineage(checkpoint)
    run = checkpoint.run
    suite = latest_suite(checkpoint)
    rival = rival_of(suite) if suite else None
    found = sources(checkpoint)
    evaluation = checkpoint.evaluations.select_related("parent", "run").first()
    return card_text(
        Card(
            name=checkpoint.name,
            project=checkpoint.project.name,
            base=line[0].name,
            license=_license_of(line[0]),
            is_adapter=not (checkpoint.stands_alone or merged),
            stage=run.get_stage_display() if run else "Base model",
            lineage=[one.name for one in line],
            reward_model=run.reward_checkpoint.name if run and run.reward_checkpoint else None,
            config=_settings(checkpoint),
            provenance=_provenance(checkpoint),
            data=_human_data(found),
            agreement=_agreement(found),
            measured=[*_measured_on_people(evaluation), *_measured_by_run(checkpoint)],
            suite=suite_table.rows(suite.results) if suite else [],
            beside=rival.name if rival else "its parent",
            limitations=_limitations(checkpoint, evaluation),
            files={} if merged else checkpoint.manifest.get("files", {}),
        )
    )


def _license_of(base: Checkpoint) -> str | None:
    """Return the license that the base model's own card states, if it lies beside its weights."""
    try:
        text = Path(base.path, "README.md").read_text(encoding="utf-8")[:README_CHARS]
    except (OSError, UnicodeDecodeError):
        return None
    matched = LICENSE.match(text.split("\n---", 1)[0] + "\n")
    return matched[1] if matched else None


def _settings(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.run.config if checkpoint.run else {}
    # In the order of their names: PostgreSQL keeps no other.
    return {name: config[name] for name in sorted(config) if name not in ("stage", "seed")}


def _provenance(checkpoint: Checkpoint) -> dict[str, str]:
    run, known = checkpoint.run, checkpoint.manifest.get("provenance", {})
    if run is None:
        return {}
    return {
        "run": f"{run.pk} ({run.stage})",
        "seed": str(run.config.get("seed", "unknown")),
        "code version": str(known.get("code_version", "unknown")),
    }


def _human_data(found: list[Source]) -> list[HumanData]:
    """Return what people said in each snapshot, counted in one query."""
    counted = (
        SnapshotAnnotation.objects.filter(snapshot__in=[one.snapshot.pk for one in found])
        .values_list("snapshot_id", "annotation__kind", "annotation__guideline_version__version")
        .annotate(count=Count("id"))
        .order_by("snapshot_id", "annotation__kind", "annotation__guideline_version__version")
    )
    versions: dict[int, list[str]] = {}
    for snapshot_id, kind, version, _count in counted:
        if version is not None:
            versions.setdefault(snapshot_id, []).append(f"{kind} {version}")
    return [
        HumanData(
            snapshot=one.snapshot.pk,
            sha256=one.snapshot.sha256,
            content=one.snapshot.content,
            way=one.way.value,
            annotations=one.snapshot.counts.get("annotations", 0),
            annotators=one.snapshot.counts.get("annotators", 0),
            guidelines=", ".join(versions.get(one.snapshot.pk, [])),
        )
        for one in found
    ]


def _agreement(found: list[Source]) -> str:
    """Return what the reward model behind a checkpoint measured of people's agreement."""
    for one in found:
        known = one.learner.run.results.get("human_agreement") if one.learner.run else None
        if known:
            return f"two people on one pair chose the same in {percent(known['value'])}"
    return "unknown"


def _measured_on_people(evaluation: Evaluation | None) -> list[Measured]:
    result = evaluation_result(evaluation) if evaluation else None
    if evaluation is None or result is None or not result.n:
        return []
    name = f"Win rate against {evaluation.parent} in blind comparisons by people"
    return [Measured(name, "win_rate", result.rate, result.low, result.high, result.n, "prompts")]


def _measured_by_run(checkpoint: Checkpoint) -> list[Measured]:
    results = checkpoint.run.results if checkpoint.run else {}
    if "heldout_accuracy" not in results:
        return []
    value, low, high = (results[f"heldout_{name}"] for name in ("accuracy", "low", "high"))
    votes = results.get("heldout_votes", 0)
    name = "Accuracy on held-out judgements"
    return [Measured(name, "accuracy", value, low, high, votes, "judgements")]


def _limitations(checkpoint: Checkpoint, evaluation: Evaluation | None) -> list[str]:
    """Return what the gate says, and what is known to be missing."""
    lines = []
    if checkpoint.kind != Checkpoint.Kind.REWARD:
        promotion = checkpoint.promotions.first()
        overridden = promotion.evidence.get("overridden") if promotion else None
        refusal = gate_refusal(checkpoint, evaluation)
        if overridden:
            lines.append(f"It was promoted although the gate was closed: {overridden}")
        elif promotion:
            lines.append(f"It was promoted: {promotion.reason}")
        elif refusal:
            lines.append(f"It was not promoted. {refusal}")
    if count := recalled_annotations(checkpoint):
        lines.append(f"Annotations behind it that were recalled since: {count:,}.")
    return [*lines, "What was measured holds for prompts like this project's, and for no others."]
