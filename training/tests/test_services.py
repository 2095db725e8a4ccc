"""What engineers ask for is checked early and refused in sentences; what passes is queued."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotations.models import Project, User
from annotations.tests.factories import make_prompt
from training import artifacts, selectors, services
from training.models import Checkpoint, Run
from training.services import ServiceError
from training.tests.factories import (
    make_base,
    make_base_folder,
    make_checkpoint,
    make_run,
    make_snapshot,
)

NUMBERS = itertools.count()


@pytest.fixture
def base(project: Project) -> Checkpoint:
    return make_base(project)


@pytest.fixture
def other_project(alice: User) -> Project:
    return Project.objects.create(name="Limericks", created_by=alice)


def start(project: Project, stage: str = "sft", **changes: Any) -> Run:
    content = {s.value: c for s, c in services.CONTENT_OF.items()}.get(stage)
    values: dict[str, Any] = {
        "config": {},
        "parent": Checkpoint.objects.filter(project=project).last(),
        "started_by": project.created_by,
        **changes,
    }
    if "snapshot" not in values:
        values["snapshot"] = make_snapshot(project, content or "demonstrations")
    return services.start_run(project, stage, values.pop("config"), **values)


def test_it_queues_a_run(project: Project, base: Checkpoint, eve: User) -> None:
    run = start(project, config={"epochs": 1.0}, started_by=eve)
    assert (run.state, run.stage, run.parent, run.started_by) == ("queued", "sft", base, eve)
    assert run.config["epochs"] == 1.0
    assert run.config["min_rows"] == 8


@pytest.mark.parametrize(
    ("stage", "config", "words"),
    [
        ("sft", {"learning_rate": 1e9}, "learning_rate is 1e"),
        ("sft", {"learning_rate": float("nan")}, "must be a number"),
        ("sft", {"learning_rate": "fast"}, "must be a number"),
        ("sft", {"colour": "red"}, "Unknown setting colour"),
        ("ppo", {"batch_size": 5, "minibatch_size": 2}, "multiple"),
        ("sample", {}, "Choose a stage"),
        ("magic", {}, "Choose a stage"),
    ],
)
def test_it_refuses_settings_that_cannot_work(
    project: Project, base: Checkpoint, stage: str, config: dict[str, Any], words: str
) -> None:
    with pytest.raises(ServiceError, match=words):
        start(project, stage, config=config)
    assert not Run.objects.exists()


def test_it_refuses_too_little_data_with_the_count_and_the_cure(
    project: Project, base: Checkpoint
) -> None:
    small = make_snapshot(project, "preferences", counts={"rows": {"train": 3}})
    with pytest.raises(ServiceError, match=r"has 3 preference pairs .* at least 50.*Collect more"):
        start(project, "reward", snapshot=small)
    assert start(project, "reward", snapshot=small, config={"min_pairs": 3})


@pytest.mark.parametrize(("good", "lacking"), [(100, "bad"), (0, "good")])
def test_it_refuses_judgements_that_are_all_alike(
    project: Project, base: Checkpoint, good: int, lacking: str
) -> None:
    counts = {"rows": {"train": 100}, "good": {"train": good}}
    alike = make_snapshot(project, "judgements", counts=counts)
    with pytest.raises(ServiceError, match=f"judgements of {lacking} completions"):
        start(project, "kto", snapshot=alike)


def test_it_refuses_a_snapshot_that_does_not_fit(
    project: Project, base: Checkpoint, other_project: Project
) -> None:
    with pytest.raises(ServiceError, match="holds preferences; sft needs demonstrations"):
        start(project, snapshot=make_snapshot(project, "preferences"))
    with pytest.raises(ServiceError, match="Freeze one"):
        start(project, snapshot=None)
    with pytest.raises(ServiceError, match="another project"):
        start(project, snapshot=make_snapshot(other_project))


def test_it_learns_from_ties_where_the_snapshot_keeps_them(
    project: Project, base: Checkpoint
) -> None:
    config = {"learn_from_ties": True}
    with pytest.raises(ServiceError, match=r"holds no ties.*Keep ties"):
        start(project, "reward", config=config)
    kept = make_snapshot(project, "preferences", filters={"ties": True})
    assert start(project, "reward", config=config, snapshot=kept).config["learn_from_ties"]


def test_it_centres_a_reward_model_on_what_its_policy_was_fine_tuned_on(
    project: Project, base: Checkpoint
) -> None:
    learned_from, newer = make_snapshot(project), make_snapshot(project)
    policy = make_checkpoint(
        project, parent=base, run=make_run(project, parent=base, snapshot=learned_from)
    )
    by_parent = {parent: start(project, "reward", parent=parent) for parent in (policy, base)}
    later = make_snapshot(project)
    assert artifacts.demonstrations_for(by_parent[policy]) == learned_from
    assert artifacts.demonstrations_for(by_parent[base]) == newer
    assert later.created_at > by_parent[base].created_at
    job = artifacts.job_for(by_parent[policy])
    assert job.demonstrations_path == str(artifacts.snapshot_rows(learned_from))
    assert job.provenance["demonstrations_snapshot"] == learned_from.pk


def make_full(project: Project, parent: Checkpoint) -> Checkpoint:
    """Record what full fine-tuning makes: a policy that is a model folder with a manifest."""
    full = make_checkpoint(project, parent=parent, manifest={"weights": "full"})
    make_base_folder(artifacts.checkpoint_folder(full))
    return full


def test_it_takes_a_model_of_its_own_as_the_base_of_what_follows(
    project: Project, base: Checkpoint
) -> None:
    full = make_full(project, base)
    child = make_checkpoint(project, parent=full)
    reward = make_checkpoint(project, parent=full, kind=Checkpoint.Kind.REWARD)
    of_base = make_checkpoint(project, kind=Checkpoint.Kind.REWARD)
    assert artifacts.base_of(child) == artifacts.base_of(full) == full
    assert artifacts.root_of(child) == base
    job = artifacts.job_for(start(project, parent=child))
    assert job.base_path == str(artifacts.checkpoint_folder(full))
    assert job.adapter_path == str(artifacts.checkpoint_folder(child))
    assert artifacts.job_for(start(project, parent=full)).adapter_path is None
    assert start(project, "ppo", parent=full, reward_checkpoint=reward)
    with pytest.raises(ServiceError, match="different base models"):
        start(project, "ppo", parent=full, reward_checkpoint=of_base)
    with pytest.raises(ServiceError, match="is a plain model already"):
        services.request_export(full, started_by=project.created_by)
    assert services.request_export(child, started_by=project.created_by)


def test_it_evaluates_a_model_of_its_own_against_the_base_it_came_from(
    project: Project, base: Checkpoint
) -> None:
    full = make_full(project, base)
    for number in range(60):
        make_prompt(project, text=f"held out {number}")
    evaluation = services.start_evaluation(
        project, child=full, parent=base, started_by=project.created_by
    )
    job = artifacts.job_for(evaluation.run)
    assert (job.base_path, job.adapter_path) == (str(artifacts.checkpoint_folder(full)), None)
    assert (job.rival_base_path, job.rival_path, job.rival) == (base.path, None, True)


def test_it_refuses_a_model_of_its_own_that_lacks_a_file(
    project: Project, base: Checkpoint
) -> None:
    full = make_full(project, base)
    (artifacts.checkpoint_folder(full) / "adapter_model.safetensors").unlink()
    with pytest.raises(ServiceError, match=r"damaged: adapter_model\.safetensors is missing"):
        start(project, parent=full)


def test_it_refuses_a_base_that_is_gone_or_holds_a_pickle(
    project: Project, base: Checkpoint
) -> None:
    Path(base.path, "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ServiceError, match=r"pytorch_model\.bin"):
        start(project)
    base.path += "-gone"
    base.save()
    with pytest.raises(ServiceError, match="no folder"):
        start(project)


def test_it_refuses_a_checkpoint_whose_files_changed(project: Project, settings: Any) -> None:
    checkpoint = make_checkpoint(project)
    weights = Path(settings.ARTIFACTS_ROOT, checkpoint.path, "adapter_model.safetensors")
    weights.write_bytes(b"weightz")
    with pytest.raises(ServiceError, match=r"damaged: adapter_model\.safetensors is not"):
        start(project, parent=checkpoint)


def test_ppo_needs_a_reward_model_on_the_same_base(
    project: Project, base: Checkpoint, other_project: Project
) -> None:
    policy = make_checkpoint(project)
    with pytest.raises(ServiceError, match="needs a reward model"):
        start(project, "ppo", parent=policy)
    with pytest.raises(ServiceError, match="not a reward model"):
        start(project, "ppo", parent=policy, reward_checkpoint=make_checkpoint(project))
    foreign = make_checkpoint(project, kind="reward", parent=make_base(project, name="other base"))
    with pytest.raises(ServiceError, match="different base"):
        start(project, "ppo", parent=policy, reward_checkpoint=foreign)
    elsewhere = make_checkpoint(other_project, kind="reward")
    with pytest.raises(ServiceError, match="another project"):
        start(project, "ppo", parent=policy, reward_checkpoint=elsewhere)
    reward = make_checkpoint(project, kind="reward")
    assert (
        start(project, "ppo", parent=policy, reward_checkpoint=reward).reward_checkpoint == reward
    )


def test_it_starts_no_run_from_a_reward_model(project: Project) -> None:
    with pytest.raises(ServiceError, match="reward model; choose a policy"):
        start(project, parent=make_checkpoint(project, kind="reward"))


def test_it_registers_a_base_model_once(project: Project, eve: User, tmp_path: Path) -> None:
    folder = str(make_base_folder(tmp_path / "model"))
    first = services.register_base(project, folder, created_by=eve)
    assert services.register_base(project, folder, created_by=eve) == first
    assert (first.kind, first.path) == (Checkpoint.Kind.BASE, folder)
    other = str(make_base_folder(tmp_path / "other"))
    with pytest.raises(ServiceError, match="already"):
        services.register_base(project, other, created_by=eve)


def spoil_pickle(folder: Path) -> None:
    (folder / "model.pt").touch()


def spoil_remote_code(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def spoil_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("spoil", [spoil_pickle, spoil_remote_code, spoil_config, spoil_weights])
def test_it_refuses_a_base_that_is_not_safe(
    project: Project, eve: User, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folder = make_base_folder(tmp_path / "model")
    spoil(folder)
    with pytest.raises(ServiceError):
        services.register_base(project, str(folder), created_by=eve)
    assert not Checkpoint.objects.exists()


@pytest.mark.parametrize("name", ["", "sft-1", "a\0b", "x" * 101])
def test_it_refuses_names_that_cannot_be(
    project: Project, eve: User, tmp_path: Path, name: str
) -> None:
    folder = make_base_folder(tmp_path / "model")
    with pytest.raises(ServiceError):
        services.register_base(project, str(folder), name, created_by=eve)


@pytest.mark.parametrize("path", ["models/x", "/no/such", "/tmp/a\0b", ""])
def test_it_refuses_paths_that_lead_nowhere(project: Project, eve: User, path: str) -> None:
    with pytest.raises(ServiceError):
        services.register_base(project, path, created_by=eve)


def request(project: Project, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "checkpoint": Checkpoint.objects.filter(project=project).last(),
        "completions_per_prompt": 4,
        "kind": "ranking",
        "started_by": project.created_by,
        **changes,
    }
    if "prompts" not in values:
        values["prompts"] = [make_prompt(project, text=f"asked {next(NUMBERS)}") for _ in range(3)]
    return services.request_completions(project, **values)


def test_it_queues_completions(project: Project, base: Checkpoint) -> None:
    prompts = [make_prompt(project, text=f"p {n}") for n in range(3)]
    run = request(project, prompts=prompts)
    assert run.request == {
        "prompt_ids": [p.pk for p in prompts],
        "kind": "ranking",
        "purpose": "training",
        "batch": f"run-{run.pk}",
    }
    again = request(project, prompts=[p.pk for p in prompts], config={"temperature": 0.7})
    assert again.request["prompt_ids"] == run.request["prompt_ids"]
    assert again.config["completions_per_prompt"] == 4


def test_it_refuses_completions_that_nobody_could_judge(
    project: Project, base: Checkpoint, other_project: Project
) -> None:
    for changes, words in [
        ({"prompts": []}, "No prompts"),
        ({"prompts": [make_prompt(other_project, text="x")]}, "not in this project"),
        ({"completions_per_prompt": 1}, "at least 2"),
        ({"completions_per_prompt": 1000}, "choose a value"),
        ({"kind": "demonstration"}, "comparison, ranking, rating"),
        ({"kind": "rating"}, "no published questions"),
        ({"kind": "assembly", "completions_per_prompt": 1}, "at least 2"),
        ({"checkpoint": make_checkpoint(project, kind="reward")}, "reward model"),
    ]:
        with pytest.raises(ServiceError, match=words):
            request(project, **changes)


def test_cancelling_is_final_and_harmless(project: Project, base: Checkpoint, eve: User) -> None:
    run = start(project)
    services.request_cancel(run, eve)
    assert run.state == Run.State.CANCELLED
    services.request_cancel(run, eve)
    assert run.state == Run.State.CANCELLED


def test_it_knows_where_a_checkpoint_comes_from(project: Project, base: Checkpoint) -> None:
    child = make_checkpoint(project)
    grandchild = make_checkpoint(project, parent=child)
    assert selectors.lineage(grandchild) == [base, child, grandchild]
    rows = selectors.checkpoint_rows(project)
    assert [row.checkpoint for row in rows] == [grandchild, child, base]


def test_it_reckons_the_time_left_from_this_attempt_alone(project: Project) -> None:
    from datetime import timedelta

    run = make_run(
        project, step=30, total_steps=40, first_step=20, state="running", phase_unit="step"
    )
    run.started_at = run.created_at
    run.first_step_at = run.created_at + timedelta(seconds=5)
    run.heartbeat_at = run.first_step_at + timedelta(seconds=20)
    progress = selectors.run_progress(run)
    assert progress.fraction == 0.75
    assert progress.eta_seconds == pytest.approx(20)
    run.phase, run.phase_unit = "evaluating", ""
    progress = selectors.run_progress(run)
    assert (progress.fraction, progress.eta_seconds, progress.total) == (None, None, 0)
    run.phase_unit, run.phase_done, run.phase_total = "batch", 1, 4
    progress = selectors.run_progress(run)
    assert (progress.fraction, progress.eta_seconds, progress.unit) == (0.25, None, "batch")
