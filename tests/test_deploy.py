"""Image, compose file, units, proxy and locks say the same as requirements, Procfile and settings.

There is no container engine where the tests run, so what can be told from the files is told here.
"""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.urls import reverse

from annotations.services import MAX_IMPORT_BYTES
from labelstudio_llm import broker, doctor, metrics, process
from labelstudio_llm.version import VERSION
from training import artifacts

ROOT = Path(settings.BASE_DIR)
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*@.service"))
NOT_OURS = {"POSTGRES_PASSWORD", "CERTIFICATES", "TORCH", "VERSION"}
"""Read by compose alone."""
ENDS_RUNS = 2 * 20
"""Twice what a run may take to save, by default: a worker must not be killed before."""


def instructions() -> list[tuple[str, str]]:
    """Return what the Dockerfile says, continued lines joined."""
    text = "\n".join(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if line[:1] != "#"
    )
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]  # type: ignore[misc]


def said(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_the_image_runs_the_python_of_the_project_and_not_as_root() -> None:
    python = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert python is not None
    assert said("FROM") == [f"python:{python[1]}-slim-bookworm"]
    last_user = instructions().index(("USER", "labelstudio"))
    assert not [one for one in instructions()[last_user:] if one[0] in ("RUN", "COPY")]


def test_the_image_installs_only_what_is_locked() -> None:
    installs = [run for run in said("RUN") if "pip install" in run]
    for command in re.findall(r"pip install [^;]+", " ; ".join(installs)):
        assert "--require-hashes --no-deps -r requirements" in command or (
            "download.pytorch.org/whl/cpu" in command
        )
    copied = shlex.split(said("COPY")[0])[:-1]
    assert all((ROOT / name).is_file() for name in copied)
    for name in re.findall(r"-r (\S+)", " ".join(installs)):
        assert name in copied


def test_the_image_starts_a_process_of_the_procfile() -> None:
    assert said("ENTRYPOINT") == ['["python", "-m", "labelstudio_llm.process"]']
    assert said("CMD") == ['["web"]']
    assert said("EXPOSE") == ["8000"]
    assert "PORT:-8000" in process.commands()["web"]


def test_the_image_is_built_though_it_listens_to_everybody() -> None:
    """A demo that other machines reach is refused, and files are collected as a demonstration."""
    assert any("BIND=0.0.0.0" in env for env in said("ENV"))
    [collects] = [run for run in said("RUN") if "collectstatic" in run]
    assert collects.startswith("DEMO=1 BIND= ")


def test_compose_starts_every_process_of_the_procfile_once() -> None:
    ours = {
        name: service
        for name, service in compose()["services"].items()
        if service.get("image", "").startswith("labelstudio-llm") and name != "migrate"
    }
    commands = sorted(word for service in ours.values() for word in service["command"])
    assert commands == sorted(set(process.commands()) - {"broker"})
    given = {seconds(one["stop_grace_period"]) for one in ours.values()}
    assert given == {doctor.KILLED_AFTER_S}  # as the doctor says
    assert all("migrate" in one["depends_on"] for one in ours.values())


def test_no_container_fills_the_disk_with_its_log() -> None:
    for service in compose()["services"].values():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_compose_and_the_example_name_no_setting_that_nobody_reads() -> None:
    text = (ROOT / "compose.yaml").read_text()
    read_by_compose = set(re.findall(r"\$\{([A-Z_]+)", text)) | set(
        compose()["x-app"]["environment"]
    )
    example = (ROOT / "deploy" / "environment.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.M)) | read_by_compose
    unknown = named - doctor.known_variables() - NOT_OURS
    assert not {name for name in unknown if not name.startswith("AWS_")}


def test_the_broker_of_compose_keeps_what_it_is_given_as_the_embedded_one_does() -> None:
    command = compose()["services"]["broker"]["command"]
    embedded = broker.server_command(ROOT)
    for option in ("--appendonly", "--maxmemory-policy", "--maxmemory"):
        assert command[command.index(option) + 1] == embedded[embedded.index(option) + 1]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_process_and_lets_it_end(path: Path) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names have capitals
    unit.read(path)
    service = unit["Service"]
    name = service["ExecStart"].split("labelstudio_llm.process ")[1]
    names = {name.replace("%i", queue) for queue in ("default", "sampling", "training")}
    assert names <= set(process.commands())
    assert service["KillMode"] == "mixed"
    assert f"VAR_DIR={service['ReadWritePaths']}" in path.read_text()
    assert (service["StateDirectoryMode"], service["UMask"]) == ("0750", "0027")
    target = unit["Install"]["WantedBy"]  # nothing starts it with the machine but being enabled
    assert f"systemctl enable {target}" in (ROOT / "docs" / "operations.md").read_text()
    if "worker" in path.name:
        assert int(service["TimeoutStopSec"]) == doctor.KILLED_AFTER_S >= ENDS_RUNS


def test_the_version_of_code_that_another_user_owns_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under systemd root owns the copy, of which git says nothing to others by itself."""
    monkeypatch.delenv("CODE_VERSION", raising=False)
    ours = artifacts.code_version.__wrapped__()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert artifacts.code_version.__wrapped__() == ours


def test_the_proxy_ends_an_idle_connection_before_the_site_does() -> None:
    """A request that is sent on one that has just been ended would be lost."""
    idle = re.search(r"keepalive_timeout (\d+)s;", (ROOT / "deploy" / "nginx.conf").read_text())
    kept = re.search(r"--keep-alive (\d+)", process.commands()["web"])
    assert idle is not None
    assert kept is not None
    assert int(idle[1]) < int(kept[1])


def test_alarms_are_about_figures_that_there_are(db: None, settings: Any, tmp_path: Path) -> None:
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/none.sock"
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus-rules.yml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    names = set(re.findall(r"labelstudio_llm_\w+", " ".join(asked)))
    assert names
    assert names <= set(re.findall(r"# TYPE (\S+)", metrics.collect()))


def test_the_proxy_takes_what_the_site_takes_and_tells_it_who_asks() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    most = re.search(r"client_max_body_size (\d+)m;", text)
    assert most is not None
    assert int(most[1]) * 2**20 >= settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    for header in ("Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Request-ID"):
        assert text.count(f"proxy_set_header {header} ") == text.count(
            'proxy_set_header Connection "'
        )
    assert text.count("{") == text.count("}")


def test_the_proxy_takes_a_large_file_from_who_may_send_it_alone() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    large = re.findall(r"location ~ (\S+) \{\s+client_max_body_size (\d{3,})m;([^}]+)", text)
    places = {re.compile(place.replace("(?<", "(?P<")): rest for place, _, rest in large}
    assert len(places) == len(re.findall(r"client_max_body_size \d", text)) - 2
    for name in ("annotations:import", "api:list_imports"):
        [[found, rest]] = [
            (match, rest)
            for place, rest in places.items()
            if (match := place.search(reverse(name, args=[17])))
        ]
        assert found["project"] == "17"
        assert "auth_request /may-import;" in rest
    assert not any(place.search(reverse("annotations:settings", args=[1])) for place in places)
    assert all(int(size) * 2**20 > MAX_IMPORT_BYTES for _, size, _ in large)
    asked = reverse("annotations:may_import", args=[1]).replace("/1/", "/$project/")
    assert f"proxy_pass http://labelstudio_llm{asked};" in text


def locked(name: str) -> dict[str, str]:
    """Return the packages of a lock and their versions; each must have hashes."""
    text = (ROOT / name).read_text()
    blocks = re.findall(r"^([\w.-]+)==(\S+) \\\n((?: +--hash=\S+(?: \\)?\n)+)", text, re.M)
    assert len(blocks) == len(re.findall(r"^[\w.-]+==", text, re.M))
    return {package.lower(): version for package, version, _ in blocks}


def test_the_locks_hold_every_requirement_in_the_same_version() -> None:
    lock, cuda = locked("requirements.lock"), locked("requirements-cuda.lock")
    for name in ("requirements.txt", "requirements-production.txt"):
        for package, version in doctor.pinned(ROOT / name).items():
            place = cuda if package == "torch" else lock
            assert place[package.lower().replace("_", "-")] == version, (
                f"make lock, after a change of {package}"
            )
    assert "torch" not in lock
    assert all(cuda[name] == lock[name] for name in set(lock) & set(cuda))


def test_it_becomes_a_process_of_the_procfile_and_knows_no_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labelstudio_llm.process", "wbe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "Name one of the processes of the Procfile: web, broker" in done.stderr


def test_there_is_one_place_for_the_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text()
    released = re.findall(r"(?m)^## (\S+) – \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text())
    assert released[0] == VERSION
