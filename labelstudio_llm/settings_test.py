"""The settings that tests run with: a place of their own, quick hashing, plain http."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="labelstudio-llm-")
atexit.register(shutil.rmtree, os.environ["VAR_DIR"], ignore_errors=True)
os.environ["SECRET_KEY"] = "only-for-tests-" * 4
os.environ["ALLOWED_HOSTS"] = "testserver,localhost,127.0.0.1"
for name in ("DEBUG", "DEMO", "REDIS_URL", "ARTIFACTS_URL", "BEHIND_PROXY", "CSRF_TRUSTED_ORIGINS"):
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
