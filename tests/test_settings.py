"""What the environment may say, and what is refused before anything starts."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from labelstudio_llm import environment as rules

LONG_KEY = "a-long-random-k3y-for-this-test-alone-" * 2
PRODUCTION = {"SECRET_KEY": LONG_KEY, "ALLOWED_HOSTS": "labels.example.org"}
NOWHERE = Path("/nowhere")

read_hosts = partial(rules.allowed_hosts, "")
read_broker = partial(rules.embedded_or_named_broker, NOWHERE)
read_bind = partial(rules.check_bind, "")
read_folder = partial(rules.own_folder, NOWHERE)
read_database = partial(rules.database, NOWHERE)


def load(
    folder: Path, environment: dict[str, str], code: str = ""
) -> subprocess.CompletedProcess[str]:
    """Import the settings in a process of their own, with this environment and no other."""
    return subprocess.run(
        [sys.executable, "-c", f"from labelstudio_llm import settings\n{code}"],
        cwd=settings.BASE_DIR,
        env={"VAR_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "cure"),
    [
        ({}, "SECRET_KEY is not set. Set it to a long random text"),
        ({**PRODUCTION, "SECRET_KEY": "short"}, "it needs at least 50"),
        ({**PRODUCTION, "SECRET_KEY": "django-insecure-" + LONG_KEY}, "easy to guess"),
        ({"SECRET_KEY": LONG_KEY}, "ALLOWED_HOSTS must list the names"),
        ({**PRODUCTION, "ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must list the names"),
        ({**PRODUCTION, "DEMO": "1"}, "ALLOWED_HOSTS names labels.example.org, and DEMO is on"),
        ({"DEBUG": "1", "ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS names *, and DEBUG is on"),
        ({**PRODUCTION, "ARTIFACTS_URL": "nonsense://bucket"}, "which can't be used here"),
        ({**PRODUCTION, "ARTIFACTS_URL": "s3:///folder"}, "names no place"),
        ({**PRODUCTION, "ARTIFACTS_URL": "file://host/folder"}, "names no place"),
        ({**PRODUCTION, "DATABASE_URL": "mysql://a@b/c"}, "use PostgreSQL or SQLite"),
        ({**PRODUCTION, "DATABASE_URL": "nonsense"}, "DATABASE_URL can't be read"),
        ({**PRODUCTION, "DEBUG": "perhaps"}, "set it to 1 or 0"),
        ({**PRODUCTION, "RUN_LIMIT_HOURS": "nan"}, "set it to a number above 0"),
    ],
)
def test_it_refuses_settings_that_cannot_work(
    tmp_path: Path, environment: dict[str, str], cure: str
) -> None:
    loaded = load(tmp_path, environment)
    assert loaded.returncode != 0
    assert cure in loaded.stderr.splitlines()[-1]


def test_it_starts_in_production_with_a_key_and_hosts(tmp_path: Path) -> None:
    loaded = load(tmp_path, PRODUCTION, "print(settings.SESSION_COOKIE_NAME, settings.DEBUG)")
    assert loaded.stdout.split() == ["__Host-session", "False"], loaded.stderr


@pytest.mark.parametrize(
    ("read", "name", "value", "cure"),
    [
        (read_hosts, "ALLOWED_HOSTS", "https://a.example", "Write names alone"),
        (read_hosts, "ALLOWED_HOSTS", "a.example:443", "Write names alone"),
        (rules.trusted_origins, "CSRF_TRUSTED_ORIGINS", "a.example", "Write each with https://"),
        (rules.former_secret_keys, "SECRET_KEY_FALLBACKS", "short", "could never have been"),
        (read_broker, "REDIS_URL", "broker:6379", "REDIS_URL can't be"),
        (read_broker, "REDIS_URL", "redis://a:b/0", "REDIS_URL can't be"),
        (read_broker, "REDIS_URL", "redis://a/first", "REDIS_URL can't be"),
        (read_broker, "REDIS_URL", "redis://:pass#word@a/0", "# is written %23"),
        (read_bind, "PORT", "http", "PORT is 'http'; set it to a number"),
        (read_bind, "PORT", "70000", "set it to a number from 1 to 65535"),
        (read_folder, "VAR_DIR", "/dev/null", "nothing can be written there"),
        (read_database, "DATABASE_URL", "postgresql://host", "names no database"),
    ],
)
def test_it_refuses_what_would_fail_later(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], name: str, value: str, cure: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=cure):
        read()


@pytest.mark.parametrize(
    ("read", "name", "value", "last"),
    [
        (
            read_hosts,
            "ALLOWED_HOSTS",
            ".a.example,10.0.0.7,[2001:db8::7]",
            "[2001:db8::7]",
        ),
        (
            rules.trusted_origins,
            "CSRF_TRUSTED_ORIGINS",
            "http://10.0.0.7:80/",
            "http://10.0.0.7:80",
        ),
        (
            partial(rules.hosts_of, "ALLOWED_PRIVATE_WEBHOOKS"),
            "ALLOWED_PRIVATE_WEBHOOKS",
            "*,A.lan",
            "a.lan",
        ),
    ],
)
def test_it_takes_what_works(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], list[str]], name: str, value: str, last: str
) -> None:
    monkeypatch.setenv(name, value)
    assert read()[-1] == last


def test_it_takes_brokers_with_passwords_and_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("rediss://:secret@broker.lan:6380/1", "redis+socket:///run/broker.sock"):
        monkeypatch.setenv("REDIS_URL", url)
        assert read_broker() == url


@pytest.mark.parametrize(
    ("bind", "refused"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False)]
)
def test_a_demo_listens_to_its_own_machine_alone(
    monkeypatch: pytest.MonkeyPatch, bind: str, refused: bool
) -> None:
    monkeypatch.setenv("BIND", bind)
    rules.check_bind("")
    if refused:
        with pytest.raises(ImproperlyConfigured, match=f"BIND is {bind}, and DEMO is on"):
            rules.check_bind("DEMO")
    else:
        rules.check_bind("DEMO")


def test_it_passes_djangos_own_deployment_check(tmp_path: Path) -> None:
    check = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env={"VAR_DIR": str(tmp_path), **PRODUCTION},
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr


def test_no_other_user_looks_into_the_folder_that_it_makes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "some" / "where"))
    assert not read_folder().stat().st_mode & 0o007


def test_it_makes_a_key_for_a_demo_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = {load(tmp_path, {"DEMO": "1"}, "print(settings.SECRET_KEY)").stdout for _ in range(2)}
    assert len(keys) == 1
    assert len(keys.pop().strip()) >= 50
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["{folder}/store", "file://{folder}/store"])
def test_it_takes_a_folder_for_artifacts(tmp_path: Path, url: str) -> None:
    environment = {"DEMO": "1", "ARTIFACTS_URL": url.format(folder=tmp_path)}
    loaded = load(tmp_path, environment, "print(settings.ARTIFACTS_ROOT)")
    assert loaded.stdout.strip() == str(tmp_path / "store")


def test_it_keeps_the_options_of_a_postgresql_url(tmp_path: Path) -> None:
    url = "postgresql://postgres:@/postgres?host=/tmp/socket"
    loaded = load(
        tmp_path,
        {"DEMO": "1", "DATABASE_URL": url},
        "print(settings.DATABASES['default']['OPTIONS'])",
    )
    assert "'host': '/tmp/socket'" in loaded.stdout
    assert "lock_timeout" in loaded.stdout


ENDINGS = {
    "by itself": "",
    "with a fork that ends before it": """
if os.fork() == 0:
    sys.exit()
os.wait()
assert settings_test.VAR_DIR.is_dir()
""",
    "with a child that is killed": """
code = "from labelstudio_llm import settings_test; import os; os.kill(os.getpid(), 9)"
assert subprocess.run([sys.executable, "-c", code]).returncode == -9
""",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_the_settings_of_tests_leave_no_folder_behind(tmp_path: Path, ending: str) -> None:
    code = f"import os, subprocess, sys\nfrom labelstudio_llm import settings_test\n{ending}"
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={"TMPDIR": str(tmp_path)},
        check=True,
    )
    assert not list(tmp_path.iterdir())
