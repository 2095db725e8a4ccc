"""Base models of a hub: brought whole, at one commit, without code of theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Project, User
from annotations.tests.test_api import Program, problem_of
from training import fetches, services, tasks
from training.fetches import Fetch
from training.models import Checkpoint
from training.pipeline import fetching
from training.pipeline.checkpoints import is_whole
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.pushing import Progress
from training.services import ServiceError
from training.tests.factories import make_base_folder
from training.tests.hub import COMMIT, FakeHub, fake_hub

pytestmark = pytest.mark.django_db
REPO = "alice/haiku-1.5"


@pytest.fixture
def hub(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    import huggingface_hub.constants as constants

    model = make_base_folder(tmp_path / "theirs")
    (model / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)
    monkeypatch.setattr(tasks, "hint_fetches", lambda: None)
    monkeypatch.setattr(fetching, "RETRIES", 0)
    settings.HAS_MODEL_HUB = True
    settings.BASE_MODEL_PATH = tmp_path / "models" / "first"
    with fake_hub() as running:
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        running.gives = REPO
        running.files = {path.name: path.read_bytes() for path in model.iterdir()}
        yield running


def fetched(hub: FakeHub, folder: Path) -> Path:
    fetching.fetch_model(REPO, "", folder, Progress(0))
    return folder


def test_it_brings_what_a_model_needs_and_nothing_else(hub: FakeHub, tmp_path: Path) -> None:
    others = {
        "pytorch_model.bin": b"pickle",
        "modeling.py": b"code",
        "consolidated.safetensors": b"",
    }
    hub.files |= others | {"onnx/model.json": b"{}", "README.md": b"# Haiku"}
    folder = fetched(hub, tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer_config.json",
    }
    assert is_whole(folder)
    assert json.loads((folder / "manifest.json").read_text())["hub"] == {
        "repo": REPO,
        "commit": COMMIT,
    }


def test_it_brings_the_parts_that_an_index_names(hub: FakeHub, tmp_path: Path) -> None:
    whole = hub.files.pop("model.safetensors")
    names = ["model-1-of-2.safetensors", "model-2-of-2.safetensors"]
    index = {"weight_map": dict(zip("ab", names, strict=True))}
    hub.files |= dict.fromkeys(names, whole)
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    folder = fetched(hub, tmp_path / "model")
    assert sorted(path.name for path in folder.glob("*.safetensors")) == names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config.json": b'{"auto_map": {}}'}, "code of its own"),
        ({"tokenizer_config.json": b"{}"}, "no chat template"),
        ({"model.safetensors": None, "pytorch_model.bin": b"pickle"}, "in another format"),
        ({"model.safetensors": None, fetching.INDEX: b'{"weight_map": {"a": "../x"}}'}, "lacks"),
        ({"config.json": None}, "no config.json"),
    ],
)
def test_a_model_that_could_not_be_used_is_refused_before_its_weights(
    hub: FakeHub, tmp_path: Path, changes: dict[str, bytes | None], words: str
) -> None:
    hub.files = {k: v for k, v in (hub.files | changes).items() if v is not None}
    with pytest.raises(PipelineError, match=words):
        fetched(hub, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert not any("safetensors" in path for path in hub.asked if path.endswith("safetensors"))


def test_what_broke_off_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    hub.breaks_off = "model.safetensors"
    with pytest.raises(PipelineError, match="goes on where it stopped"):
        fetched(hub, tmp_path / "model")
    half = len(hub.files["model.safetensors"]) // 2
    assert (fetching.aside_of(tmp_path / "model") / "model.safetensors").stat().st_size == half
    hub.asked.clear()
    assert is_whole(fetched(hub, tmp_path / "model"))
    assert [path.rpartition("/")[2] for path in hub.asked[1:]] == ["model.safetensors"]


def test_a_network_that_breaks_off_for_a_moment_is_waited_for(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RETRIES", 1)
    monkeypatch.setattr(fetching, "PAUSE_S", 0.01)
    hub.breaks_off = "model.safetensors"
    assert is_whole(fetched(hub, tmp_path / "model"))


def test_a_file_that_is_not_what_the_hub_says_is_thrown_away(hub: FakeHub, tmp_path: Path) -> None:
    hub.damaged = "model.safetensors"
    with pytest.raises(PipelineError, match="its hash is another"):
        fetched(hub, tmp_path / "model")
    assert not (fetching.aside_of(tmp_path / "model") / "model.safetensors").exists()


def test_a_model_that_is_not_there_and_a_hub_that_is_not_are_told(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    with pytest.raises(PipelineError, match="The hub has no model bob/x"):
        fetching.fetch_model("bob/x", "", tmp_path / "model", Progress(0))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PipelineError, match="Look at the network and at HF_ENDPOINT"):
        fetched(hub, tmp_path / "model")


def test_a_model_larger_than_the_disk_is_told_before_its_weights(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "disk_free", lambda folder: 7)
    with pytest.raises(PipelineError, match="are free where"):
        fetched(hub, tmp_path / "model")


def test_nobody_waits_for_what_is_not_wanted_any_more(hub: FakeHub, tmp_path: Path) -> None:
    progress = Progress(0)
    progress.stop.set()
    with pytest.raises(RunStopped):
        fetching.fetch_model(REPO, "", tmp_path / "model", progress)


def test_an_engineer_asks_and_gets_a_checkpoint(
    hub: FakeHub, client: Client, project: Project, eve: User
) -> None:
    client.force_login(eve)
    asked = {"repo": REPO, "revision": "", "name": ""}
    answer = client.post(reverse("training:fetch_base", args=[project.pk]), asked)
    assert answer.status_code == 302
    page = client.get(reverse("training:checkpoints", args=[project.pk])).content.decode()
    assert "Waits for a worker" in page
    assert fetches.is_anything_waiting()
    tasks.fetch_bases()
    tasks.fetch_bases()  # delivered twice
    made = Checkpoint.objects.get(project=project, name="haiku-1.5")
    assert made.manifest["hub"] == {"repo": REPO, "commit": COMMIT}
    assert Path(made.path) == fetches.Fetch(REPO, "", "", 0, 0).folder
    assert not fetches.all_fetches()


def test_a_program_asks_looks_and_takes_back(hub: FakeHub, project: Project, eve: User) -> None:
    program = Program(eve, project)
    path = f"projects/{project.pk}/base-models/fetches"
    hub.gives = ""
    asked = program.post(path, {"repo": REPO}).json()
    assert (asked["name"], asked["error"]) == ("haiku-1.5", "")
    refused = program.post(path, {"repo": REPO})
    assert "already" in problem_of(refused, 409, "not-possible")["detail"]
    tasks.fetch_bases()
    (failed,) = program.get(path).json()["fetches"]
    assert "The hub has no model" in failed["error"]
    assert program.post(f"{path}/stop", {"folder": failed["folder"]}).json() == {"fetches": []}


def test_what_can_not_be_fetched_says_why_until_it_is_asked_for_again(
    hub: FakeHub, client: Client, project: Project, eve: User
) -> None:
    client.force_login(eve)
    hub.gives = ""
    services.fetch_base(project, REPO, created_by=eve)
    tasks.fetch_bases()
    assert not fetches.is_anything_waiting()
    page = client.get(reverse("training:checkpoints", args=[project.pk])).content.decode()
    assert "The hub has no model" in page
    hub.gives = REPO
    services.fetch_base(project, REPO, created_by=eve)
    tasks.fetch_bases()
    assert Checkpoint.objects.filter(name="haiku-1.5").exists()


def test_a_request_can_be_taken_back(hub: FakeHub, project: Project, eve: User) -> None:
    fetch = services.fetch_base(project, REPO, created_by=eve)
    with fetches._taken(fetch) as is_mine:  # another worker is at it
        assert is_mine
        assert not fetches.is_anything_waiting()
    services.stop_fetch(project, fetch.folder.name)
    tasks.fetch_bases()
    assert not hub.asked


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"repo": "haiku"}, "is like HuggingFaceTB"),
        ({"repo": "../x"}, "is like HuggingFaceTB"),
        ({"repo": "alice/haiku", "revision": "../main"}, "branch, a tag or a commit"),
        ({"repo": "alice/haiku", "name": "sft-1"}, "not like a run's"),
    ],
)
def test_what_is_no_model_of_a_hub_is_refused(
    hub: FakeHub, project: Project, eve: User, asked: dict[str, str], words: str
) -> None:
    with pytest.raises(ServiceError, match=words):
        services.fetch_base(project, **asked, created_by=eve)
    assert not fetches.all_fetches()


def test_without_a_hub_nothing_is_fetched_and_the_page_says_so(
    client: Client, project: Project, eve: User, settings: Any
) -> None:
    settings.HAS_MODEL_HUB = False
    client.force_login(eve)
    answer = client.post(reverse("training:fetch_base", args=[project.pk]), {"repo": REPO})
    assert answer.status_code == 422
    assert "This installation has no hub" in answer.content.decode()


def test_outsiders_and_annotators_fetch_nothing(
    client: Client, project: Project, charlie: User, bob: User
) -> None:
    for user in (charlie, bob):
        client.force_login(user)
        for name in ("fetch_base", "stop_fetch"):
            assert client.post(reverse(f"training:{name}", args=[project.pk])).status_code == 404


def test_a_folder_has_one_name_for_each_revision() -> None:
    names = {Fetch("a/b", r, "", 0, 0).folder.name for r in ("", "main", "v1.0")}
    assert names == {"a--b", "a--b--main", "a--b--v1.0"}
