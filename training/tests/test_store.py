"""The artifact store on object storage: what one machine made, another has, whole or not at all.

The storage is a real server of S3's protocol on this machine; each machine has a folder of its own.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from annotations import services as collecting
from annotations.models import Comparison, Import, Project
from annotations.tests.factories import make_demonstration
from training import artifacts, removal, services, snapshots, store, tasks
from training.models import Checkpoint, Push, Run
from training.pipeline.checkpoints import is_whole, seal
from training.tests import scripted
from training.tests.factories import make_checkpoint, make_run

Machine = Callable[[str], Path]


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Yield the address of a server that speaks S3's protocol."""
    why = "The store on S3 is not tested: pip install -r requirements-production.txt moto[server]"
    pytest.importorskip("s3fs", reason=why)
    server = pytest.importorskip("moto.server", reason=why).ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.long)])
def storage(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a store that is empty: of a file system in memory, and on S3."""
    name = tmp_path.name.lower().replace("_", "-")
    if request.param == "s3":
        for variable, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": request.getfixturevalue("s3"),
        }.items():
            monkeypatch.setenv(variable, value)
        filesystem, _ = store._open(f"s3://{name}", os.getpid())
        filesystem.mkdir(name)
    return f"{request.param}://{name}/team/artifacts"


@pytest.fixture
def on(storage: str, settings: Any, tmp_path: Path) -> Machine:
    """Return what moves this process to a machine with a folder of its own."""
    settings.ARTIFACTS_REMOTE = storage

    def move(name: str) -> Path:
        settings.VAR_DIR = tmp_path / name
        settings.ARTIFACTS_ROOT = tmp_path / name / "artifacts"
        return Path(settings.ARTIFACTS_ROOT)

    return move


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def keys(folder: str) -> set[str]:
    """Return what the storage has of a folder."""
    found = store._filesystem().find(store._place(folder), refresh=True)
    return {path.rpartition("/")[2] for path in found}


def test_what_one_machine_keeps_another_brings(on: Machine) -> None:
    made = write(on("gpu") / "projects/1/checkpoints/run-1", weights="w" * 100, empty="")
    seal(made, {"run": 1})
    store.keep(made)
    brought = store.bring(on("web") / "projects/1/checkpoints/run-1")
    assert brought != made
    assert is_whole(brought)
    assert (brought / "empty").read_text() == ""


def test_a_folder_whose_index_did_not_arrive_is_not_there(
    on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write(on("gpu") / "projects/1/checkpoints/run-1", weights="w")

    def cut(*_: Any) -> None:
        raise OSError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr(store._filesystem(), "pipe_file", cut)
        with pytest.raises(store.StoreError, match="can't be written to"):
            store.keep(made)
    assert not store.bring(on("web") / "projects/1/checkpoints/run-1").exists()


def test_a_damaged_file_is_refused_and_nothing_of_it_stays(on: Machine) -> None:
    made = write(on("gpu") / "projects/1/checkpoints/run-1", weights="whole", more="more")
    store.keep(made)
    index = json.loads((made / store.MARK).read_text())
    key = index["files"]["weights"]["key"]
    place = store._place("projects/1/checkpoints/run-1", key)
    store._filesystem().pipe_file(place, b"whale")
    folder = on("web") / "projects/1/checkpoints/run-1"
    with pytest.raises(store.StoreError, match="is damaged"):
        store.bring(folder)
    assert not list(folder.parent.iterdir())
    store._filesystem().rm_file(place)
    with pytest.raises(store.StoreError, match="lacks files"):
        store.bring(folder)


@pytest.mark.parametrize("name", ["../../../outside", "/tmp/outside", "a/../../outside"])
def test_an_index_writes_nothing_outside_its_folder(on: Machine, name: str) -> None:
    made = write(on("gpu") / "projects/1/checkpoints/run-1", weights="w")
    store.keep(made)
    index = json.loads((made / store.MARK).read_text())
    index["files"][name] = index["files"].pop("weights")
    place = store._place("projects/1/checkpoints/run-1", store.INDEX)
    store._filesystem().pipe_file(place, json.dumps(index).encode())
    root = on("web")
    with pytest.raises(store.StoreError, match="leads out of its folder"):
        store.bring(root / "projects/1/checkpoints/run-1")
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_folder_that_is_sent_again_replaces_the_one_before(on: Machine) -> None:
    name = "projects/1/checkpoints/run-1"
    store.keep(write(on("first") / name, weights="old", left="x"))
    store.bring(on("web") / name)
    store.keep(write(on("second") / name, weights="new"))
    assert (store.bring(on("another") / name) / "weights").read_text() == "new"
    assert len(keys(name)) == 2  # the index and one file


def test_a_copy_that_was_never_sent_gives_way_to_what_the_store_has(on: Machine) -> None:
    name = "projects/1/checkpoints/run-1"
    store.keep(write(on("second") / name, weights="of the attempt that counts"))
    stale = write(on("first") / name, weights="of one that was given up")
    assert (store.bring(stale) / "weights").read_text() == "of the attempt that counts"


def test_what_is_deleted_goes_from_the_store(on: Machine) -> None:
    store.keep(write(on("gpu") / "projects/1/checkpoints/run-1", weights="w"))
    removal.remove("projects/1/checkpoints/run-1")
    assert not keys("projects/1/checkpoints/run-1")
    assert not store.bring(on("web") / "projects/1/checkpoints/run-1").exists()


VOTES = b'{"prompt": "A frog?", "chosen": "old pond", "rejected": "a frog"}\n'


def test_a_file_that_one_machine_takes_another_shows_and_a_third_imports(
    on: Machine, project: Project
) -> None:
    taken_at = on("web")
    brought = collecting.bring_file(project, "votes.jsonl", [VOTES], project.created_by)
    on("other-web")
    [record], _ = collecting.preview_of(brought, most=1)
    assert record.messages[-1]["content"] == "A frog?"
    on("worker")
    collecting.start_import(brought)
    assert collecting.run_import(brought).state == Import.State.DONE
    assert Comparison.objects.count() == 1
    assert not keys(f"projects/{project.pk}/imports")
    # Copies on other machines go when somebody brings the next file there.
    assert [path.name for path in taken_at.glob("projects/*/imports/*")] == [str(brought.pk)]
    on("web")
    second = collecting.bring_file(project, "votes.jsonl", [VOTES], project.created_by)
    assert [path.name for path in taken_at.glob("projects/*/imports/*")] == [str(second.pk)]


def test_a_file_that_cannot_be_sent_is_not_taken_and_one_that_cannot_be_brought_says_so(
    on: Machine, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise OSError("connection reset")

    taken_at = on("web")
    with monkeypatch.context() as patch:
        patch.setattr(store._filesystem(), "pipe_file", cut)
        with pytest.raises(collecting.ServiceError, match="can't be written to"):
            collecting.bring_file(project, "votes.jsonl", [VOTES], project.created_by)
    assert not Import.objects.exists()
    assert not list(taken_at.glob("projects/*/imports/*"))
    brought = collecting.bring_file(project, "votes.jsonl", [VOTES], project.created_by)
    on("worker")
    with monkeypatch.context() as patch:
        patch.setattr(store._filesystem(), "cat_file", cut)
        _, [error] = collecting.preview_of(brought, most=1)
        assert "can't be read" in error.message
        collecting.start_import(brought)
        failed = collecting.run_import(brought)
        assert (failed.state, "then try again" in failed.problem) == ("failed", True)
    collecting.start_import(failed)
    assert collecting.run_import(failed).state == Import.State.DONE


def test_long_transfers_give_signs_of_life(on: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SIGN_OF_LIFE_S", 0.0)
    beats: list[int] = []
    with store.beating(lambda: beats.append(1)):
        store.keep(write(on("gpu") / "projects/1/exports/run-1", weights="w"))
    assert beats


def test_what_was_superseded_while_it_was_sent_replaces_nothing(on: Machine) -> None:
    """A machine may sleep for an hour in the middle of sending what it made."""
    store.keep(write(on("gpu-2") / "projects/1/checkpoints/run-1", weights="published"))
    late = write(on("gpu-1") / "projects/1/checkpoints/run-1", weights="late")
    with store.beating(lambda: False), pytest.raises(store.StoreError, match="taken over"):
        store.keep(late)
    brought = store.bring(on("web") / "projects/1/checkpoints/run-1")
    assert (brought / "weights").read_text() == "published"


def test_a_database_that_is_away_meanwhile_is_no_fault_of_the_store(on: Machine) -> None:
    """A run that is done is taken back then and goes on; a fault of the store would fail it."""
    made = write(on("gpu") / "projects/1/checkpoints/run-1", weights="w")

    def away() -> None:
        raise OperationalError("the database system is starting up")

    with store.beating(away), pytest.raises(OperationalError):
        store.keep(made)


def test_a_run_goes_on_on_another_machine_from_what_was_saved(on: Machine, project: Any) -> None:
    run = make_run(project)
    work = artifacts.work_folder
    on("first")
    write(work(run), **{"log.txt": "first\n", "child.json": "{}"})
    seal(write(work(run) / "resume-4", policy="four"), {"step": 4})
    write(work(run) / "resume-8", policy="half")
    store.WorkFolder(work(run)).keep()
    on("second")
    store.WorkFolder(work(run)).bring()
    assert {path.name for path in work(run).iterdir()} == {"log.txt", "resume-4"}
    assert is_whole(work(run) / "resume-4")
    seal(write(work(run) / "resume-6", policy="six"), {"step": 6})
    store.WorkFolder(work(run)).keep()
    on("first")
    store.WorkFolder(work(run)).bring()
    assert {path.name for path in work(run).iterdir()} == {"log.txt", "resume-4", "resume-6"}


def test_a_machine_keeps_what_it_saved_after_it_sent(on: Machine, project: Any) -> None:
    run = make_run(project)
    on("first")
    folder = write(artifacts.work_folder(run), **{"log.txt": "one"})
    store.WorkFolder(folder).keep()
    write(folder, **{"log.txt": "one and two"})
    store.WorkFolder(folder).bring()
    assert (folder / "log.txt").read_text() == "one and two"


def test_web_and_gpu_machines_share_snapshots_checkpoints_and_logs(
    on: Machine, project: Any, alice: Any, eve: Any, client: Any, settings: Any
) -> None:
    make_demonstration(project, alice)
    on("web")
    frozen = snapshots.freeze(project, "demonstrations", created_by=eve, seed=0, filters={})
    on("gpu")
    run = make_run(project, snapshot=frozen)
    settings.TRAINING_COMMAND = scripted.command("works")
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    assert run.state == Run.State.SUCCEEDED, run.error
    assert artifacts.snapshot_rows(frozen).read_text().count("\n") == 1
    on("web-2")
    checkpoint = Checkpoint.objects.get(run=run)
    assert is_whole(artifacts.checkpoint_folder(checkpoint))
    client.force_login(eve)
    log = client.get(f"/runs/{run.pk}/log.txt")
    assert b"start" in b"".join(log.streaming_content)


@pytest.mark.django_db(transaction=True)
def test_a_backup_holds_what_any_machine_made_and_is_restored_for_all_of_them(
    on: Machine, project: Any, storage: str, settings: Any, tmp_path: Path
) -> None:
    on("gpu")
    checkpoint, run = make_checkpoint(project), make_run(project)
    store.keep(artifacts.root() / checkpoint.path)
    store.keep(artifacts.snapshot_folder(run.snapshot))
    store.WorkFolder(write(artifacts.work_folder(run), **{"log.txt": "one"})).keep()
    on("web")
    backup = f"{storage}-backup"
    call_command("backup", backup, stderr=(said := io.StringIO()))
    assert said.getvalue() == "", "nothing is missing"
    with pytest.raises(CommandError, match="not empty"):
        call_command("backup", backup)
    with pytest.raises(CommandError, match="empty place in ARTIFACTS_URL"):
        call_command("restore", backup, "--replace")
    settings.ARTIFACTS_REMOTE = f"{storage}-new"
    call_command("restore", backup, "--replace")
    on("gpu-2")
    assert is_whole(artifacts.checkpoint_folder(checkpoint))
    store.WorkFolder(artifacts.work_folder(run)).bring()
    assert (artifacts.work_folder(run) / "log.txt").read_text() == "one"


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_backup_to_a_store_that_does_not_answer_fails_in_words(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = {"endpoint_url": "http://127.0.0.1:1", "key": "key", "secret": "secret"}
    monkeypatch.setitem(fsspec.config.conf, "s3", nobody)
    for act in (["backup"], ["restore", "--replace"]):
        with pytest.raises(CommandError, match=r"can't be reached .* Look at the address"):
            call_command(*act, "s3://bucket/one")


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_checkpoint_is_pushed_to_the_store_whole_and_over_nothing(
    project: Any, eve: Any, storage: str, settings: Any
) -> None:
    there = f"{storage}/first"
    settings.PUSH_TARGETS = [storage]

    def pushed() -> Push:
        push = services.push_checkpoint(make_checkpoint(project), there, started_by=eve)
        tasks.push(push.pk)
        push.refresh_from_db()
        return push

    first, other = pushed(), pushed()
    assert (first.state, first.error) == (Push.State.SUCCEEDED, "")
    assert (other.state, "something else" in other.error) == (Push.State.FAILED, True)
    files, folder = fsspec.core.url_to_fs(there)
    lies = {path.rpartition("/")[2]: files.cat_file(path) for path in files.find(folder)}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in lies.items()}
    assert hashes == first.result["files"]


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_what_is_damaged_in_the_store_is_left_out_of_the_backup_and_named(
    on: Machine, project: Any, tmp_path: Path
) -> None:
    """One file that nobody may ever read again must not end every backup."""
    folder = on("gpu") / make_checkpoint(project).path
    store.keep(folder)
    key = json.loads((folder / store.MARK).read_text())["files"]["adapter_model.safetensors"]["key"]
    place = store._place(store._relative(folder), key)
    store._filesystem().pipe_file(place, b"whale")
    call_command("backup", str(tmp_path / "backup"), stderr=(said := io.StringIO()))
    assert f"{store._relative(folder)} is not whole here" in said.getvalue()
    there = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    assert f"{store._relative(folder)}/adapter_model.safetensors" not in there["artifacts"]
    assert f"{store._relative(folder)}/manifest.json" in there["artifacts"]
