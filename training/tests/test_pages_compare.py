"""Runs side by side, their files to take away, and back again."""

from __future__ import annotations

import io
import json
import zipfile
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.models import Project, User
from training import artifacts, comparison
from training.models import Metric, Run
from training.pipeline import train
from training.pipeline.config import PPOConfig, SFTConfig
from training.pipeline.jobs import Job
from training.pipeline.tensorboard import FOLDER, EventFile
from training.tests.factories import make_checkpoint, make_run


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def measured(run: Run, name: str, *values: float) -> None:
    for step, value in enumerate(values, 1):
        Metric.objects.create(run=run, name=name, step=step, value=value)


def compared(engineer: Client, project: Project, *runs: Run) -> str:
    query = "&".join(f"run={run.pk}" for run in runs)
    return text_of(engineer.get(f"{url('compare_runs', project.pk)}?{query}"))


def test_it_shows_what_differs_between_runs(engineer: Client, project: Project) -> None:
    one = make_run(project, config=SFTConfig(epochs=1.0).to_dict())
    two = make_run(project, config=SFTConfig(epochs=5.0).to_dict(), snapshot=one.snapshot)
    page = compared(engineer, project, one, two)
    row = page[page.index('<tr class="differs"><th scope="row">Epochs') :]
    assert row.index(">1<") < row.index(">5<")
    assert '<tr><th scope="row">Batch size' in page


def test_it_draws_their_curves_on_one_chart(engineer: Client, project: Project) -> None:
    one, two = make_run(project), make_run(project)
    measured(one, "loss", 3.0, 2.0)
    measured(two, "loss", 3.0, 1.0)
    page = compared(engineer, project, one, two)
    assert page.count('<svg class="chart"') == 1
    assert f"run {one.pk}: 2 points, from 3 at step 1 to 2 at step 2" in page
    assert f"run {two.pk}: 2 points, from 3 at step 1 to 1 at step 2" in page


def test_a_run_alone_is_held_against_the_one_that_its_parent_came_from(
    engineer: Client, project: Project
) -> None:
    first = make_run(project)
    make_run(project)
    child = make_run(project, parent=make_checkpoint(project, run=first))
    other_stage = make_run(project, "reward", parent=make_checkpoint(project, run=child))
    assert comparison.earlier_run(child) == first
    assert comparison.earlier_run(other_stage) is None
    page = compared(engineer, project, child)
    assert f'href="{url("run", first.pk)}">Run&nbsp;{first.pk}<' in page


def test_it_draws_the_frontier_of_score_and_kl(engineer: Client, project: Project) -> None:
    run = make_run(project, "ppo")
    measured(run, "objective/kl", 0.0, 1.0, 4.0)
    measured(run, "objective/scores", 0.0, 2.0, 3.0)
    assert comparison.frontier(run) == [(0.0, 0.0), (1.0, 2.0), (sqrt(4.0), 3.0)]
    for page in (compared(engineer, project, run), text_of(engineer.get(url("run", run.pk)))):
        assert "Score over √KL" in page
        assert "from 0 at √KL 0 to 3 at √KL 2" in page


def test_it_shows_as_many_runs_as_there_are_colours(engineer: Client, project: Project) -> None:
    runs = [make_run(project) for _ in range(5)]
    page = compared(engineer, project, *runs)
    assert f"Left out: run {runs[4].pk}." in page


def test_it_compares_runs_of_one_stage_and_project(
    engineer: Client, project: Project, charlie: User
) -> None:
    run, reward = make_run(project), make_run(project, "reward")
    foreign = make_run(Project.objects.create(name="Other", created_by=charlie))
    page = compared(engineer, project, run, reward, foreign)
    assert f"Run&nbsp;{run.pk}<" in page
    assert f"Run&nbsp;{reward.pk}<" not in page
    assert f"Run&nbsp;{foreign.pk}<" not in page
    empty = engineer.get(f"{url('compare_runs', project.pk)}?run={foreign.pk}&run=x&run={9**30}")
    assert "No runs to compare" in text_of(empty)


def test_the_whole_log_can_be_taken_away(engineer: Client, project: Project) -> None:
    run = make_run(project)
    missing = engineer.get(url("download_log", run.pk))
    assert missing.status_code == 404
    folder = artifacts.work_folder(run)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("one\ntwo\n")
    response: Any = engineer.get(url("download_log", run.pk))
    assert b"".join(response.streaming_content) == b"one\ntwo\n"
    assert f"run-{run.pk}.log" in response.headers["Content-Disposition"]


def test_the_tensorboard_files_can_be_taken_away(engineer: Client, project: Project) -> None:
    run = make_run(project)
    assert engineer.get(url("download_events", run.pk)).status_code == 404
    assert "TensorBoard files" not in text_of(engineer.get(url("run", run.pk)))
    EventFile(artifacts.work_folder(run) / FOLDER).add(1, {"loss": 2.0})
    response = engineer.get(url("download_events", run.pk))
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        (name,) = archive.namelist()
    assert name.startswith(f"run-{run.pk}/events.out.tfevents.")
    assert "TensorBoard files" in text_of(engineer.get(url("run", run.pk)))


def test_an_exported_run_is_a_job_of_its_own(engineer: Client, project: Project) -> None:
    reward = make_checkpoint(project, kind="reward")
    config = PPOConfig(steps=7).to_dict()
    run = make_run(project, "ppo", config=config, reward_checkpoint=reward)
    job = Job.from_dict(json.loads(text_of(engineer.get(url("export_job", run.pk)))))
    inside = artifacts.job_for(run)
    assert job.config == PPOConfig(steps=7)
    assert (job.base_path, job.data_path) == (inside.base_path, inside.data_path)
    assert job.reward_path == inside.reward_path
    assert (job.work_dir, job.output_dir) == (f"run-{run.pk}/work", f"run-{run.pk}/checkpoint")


@pytest.mark.slow
def test_an_exported_job_runs_in_any_folder(
    engineer: Client,
    project: Project,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(project, config=SFTConfig(epochs=1.0, min_rows=1, batch_size=1).to_dict())
    base = run.parent
    base.path = str(tiny_model)
    base.save()
    answer = [{"role": "assistant", "content": "pond"}]
    prompt = [{"role": "user", "content": "frog"}]
    row = {"split": "train", "prompt_id": 1, "prompt": prompt, "completion": answer}
    assert run.snapshot is not None
    artifacts.snapshot_rows(run.snapshot).write_text(json.dumps(row) + "\n")
    exported = json.loads(text_of(engineer.get(url("export_job", run.pk))))
    monkeypatch.chdir(tmp_path)
    train(Job.from_dict(exported), report=lambda event: None, should_stop=lambda: False)
    assert (tmp_path / f"run-{run.pk}" / "checkpoint" / "adapter_model.safetensors").exists()


def test_an_exported_job_fills_a_new_form(engineer: Client, project: Project) -> None:
    run = make_run(project, config=SFTConfig(epochs=9.0).to_dict())
    file = engineer.get(url("export_job", run.pk))
    address = url("new_run", project.pk) + "?stage=sft"
    filled = engineer.post(address, {"settings": text_of(file), "fill": "1"})
    assert filled.status_code == 200
    assert filled.context["form"]["epochs"].value() == 9.0
    refused = engineer.post(address, {"settings": '{"config": {"stage": "ppo"}}', "fill": "1"})
    assert refused.status_code == 422
    assert "settings of ppo, not of sft" in text_of(refused)
    assert Run.objects.count() == 1


@pytest.mark.parametrize("name", ["download_log", "export_job", "download_events"])
def test_outsiders_and_annotators_take_nothing_away(
    client: Client, project: Project, bob: User, charlie: User, name: str
) -> None:
    run = make_run(project, state="running", started_at=timezone.now())
    for user in (bob, charlie):
        client.force_login(user)
        assert client.get(url(name, run.pk)).status_code == 404
        assert client.get(url("compare_runs", project.pk)).status_code == 404
    assert client.post(url(name, run.pk)).status_code == 405
