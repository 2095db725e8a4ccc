"""The cast, and what holds for every test: files of its own, no connection to the outside."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestModule
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from annotations.models import GuidelineVersion, Kind, Membership, Project, Role, User
from tests.order import LONG, dealt
from training.tests.tiny import build_tiny_model

# Playwright keeps an event loop in the thread of its tests; Django would refuse the ORM there.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

# What is compared to the last bits is computed alike on every processor.
os.environ["TRAINING_DTYPE"] = "float32"

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("unhurried")

pytest_plugins = ["training.tests.forked"]

PASSWORD = "haiku-demo"


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path,
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for examples where there are some: most files have none, and each would be imported."""
    found = yield
    if file_path.suffix != ".py" or b">>> " in file_path.read_bytes():
        return found
    return [one for one in found if not isinstance(one, DoctestModule)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that nobody waits for it alone at the end.

    What touches no row is the same on either database: on PostgreSQL it is left out.
    """
    if connection.vendor == "postgresql":
        config.hook.pytest_deselected(items=[item for item in items if not touches_rows(item)])
        items[:] = filter(touches_rows, items)
    long = [item for item in items if item.path.name in LONG]
    long.sort(key=lambda item: LONG.index(item.path.name))
    others = [item for item in items if item.path.name not in LONG]
    items[:] = dealt(long, others, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def touches_rows(item: pytest.Item) -> bool:
    """Return whether a test asks for the database, itself or by a fixture."""
    asked = getattr(item, "fixturenames", ())
    return "db" in asked or item.get_closest_marker("django_db") is not None


def pytest_collection_finish() -> None:
    """Take what is imported out of the garbage collector's rounds: it is large, and it stays."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say once, in one line each, why tests were skipped."""
    reports = terminalreporter.stats.get("skipped", [])
    for reason in sorted({r.longrepr[2] for r in reports if isinstance(r.longrepr, tuple)}):
        terminalreporter.write_line(reason.removeprefix("Skipped: "))


def is_local(address: object) -> bool:
    """Return whether a socket address lies on this machine."""
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def no_connections_outside() -> Iterator[None]:
    """Refuse every connection that leaves this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            original = getattr(socket.socket, name)

            def guarded(self: socket.socket, address: Any, original: Any = original) -> Any:
                if not is_local(address):
                    raise AssertionError(f"A test tried to connect to {address!r}.")
                return original(self, address)

            patch.setattr(socket.socket, name, guarded)
        yield


@pytest.fixture(autouse=True)
def files_of_its_own(settings: Any, tmp_path: Path) -> None:
    """Give each test its own artifact store."""
    settings.ARTIFACTS_ROOT = tmp_path / "artifacts"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a language model that trains in milliseconds."""
    return build_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def person(username: str) -> User:
    """Return a new user who can sign in with PASSWORD."""
    return User.objects.create_user(username, password=PASSWORD, first_name=username.title())


@pytest.fixture
def alice(db: None) -> User:
    """Owns the project."""
    return person("alice")


@pytest.fixture
def eve(db: None) -> User:
    """Trains the models."""
    return person("eve")


@pytest.fixture
def carol(db: None) -> User:
    """Reviews."""
    return person("carol")


@pytest.fixture
def bob(db: None) -> User:
    """Annotates."""
    return person("bob")


@pytest.fixture
def bea(db: None) -> User:
    """Annotates."""
    return person("bea")


@pytest.fixture
def ben(db: None) -> User:
    """Annotates."""
    return person("ben")


@pytest.fixture
def charlie(db: None) -> User:
    """Belongs to no project."""
    return person("charlie")


@pytest.fixture
def project(
    alice: User, eve: User, carol: User, bob: User, bea: User, ben: User, charlie: User
) -> Project:
    """Alice's project, with everyone in it but charlie, and guidelines for each kind of work."""
    project = Project.objects.create(name="Haiku", created_by=alice)
    roles = {
        alice: Role.OWNER,
        eve: Role.ENGINEER,
        carol: Role.REVIEWER,
        bob: Role.ANNOTATOR,
        bea: Role.ANNOTATOR,
        ben: Role.ANNOTATOR,
    }
    Membership.objects.bulk_create(
        Membership(project=project, user=user, role=role) for user, role in roles.items()
    )
    GuidelineVersion.objects.bulk_create(
        GuidelineVersion(
            project=project,
            kind=kind,
            version=1,
            text=f"How to do a {kind}.",
            html=f"<p>How to do a {kind}.</p>",
            created_by=alice,
            published_at=timezone.now(),
        )
        for kind in Kind.values
    )
    return project
