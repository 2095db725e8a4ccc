"""The settings that tests run with: a place of their own, quick hashing, plain http."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def make_folder() -> str:
    """Make a folder for this process, which goes when the process ends.

    A child's lies in that of its parent, and goes with it though the child is killed.
    """
    parent = os.environ.get("FOLDER_OF_TESTS")
    within = parent if parent and Path(parent).is_dir() else None
    folder = tempfile.mkdtemp(prefix="labelstudio-llm-", dir=within)
    atexit.register(remove, folder, os.getpid())
    return folder


def remove(folder: str, maker: int) -> None:
    """Remove a folder at the end of the process that made it, not of one forked from it."""
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)


os.environ["VAR_DIR"] = os.environ["FOLDER_OF_TESTS"] = make_folder()
os.environ["SECRET_KEY"] = "only-for-tests-" * 4
os.environ["ALLOWED_HOSTS"] = "localhost,127.0.0.1"
for name in (
    *("DEBUG", "DEMO", "REDIS_URL", "ARTIFACTS_URL", "BEHIND_PROXY", "CSRF_TRUSTED_ORIGINS"),
    *("ALLOWED_PRIVATE_ENDPOINTS", "SECRET_KEY_FALLBACKS", "BIND"),
):
    os.environ.pop(name, None)

from labelstudio_llm.settings import *  # noqa: E402, F403
from labelstudio_llm.settings import DATABASES, VAR_DIR  # noqa: E402

# A file, as in production: a database in memory has other locks, which hide races.
if DATABASES["default"]["ENGINE"] == "labelstudio_llm.sqlite":
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
SECURE_HSTS_SECONDS = 0
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "session", "csrf"

STATIC_ROOT = VAR_DIR / "staticfiles"
STATIC_ROOT.mkdir(exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
