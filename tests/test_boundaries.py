"""What a running web process really holds. The written contracts are checked by `make lint`."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings

LOAD_THE_WEB = """
import sys
import django
django.setup()
from django.urls import get_resolver
from labelstudio_llm.wsgi import application

def resolve(patterns):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            resolve(pattern.url_patterns)

resolve(get_resolver().url_patterns)
import training.tasks
heavy = {"torch", "transformers", "trl", "peft", "datasets", "accelerate"} & set(sys.modules)
sys.exit(f"The web process imports {', '.join(sorted(heavy))}." if heavy else 0)
"""


def test_it_never_imports_torch_in_the_web_or_worker_process() -> None:
    command = [sys.executable, "-c", LOAD_THE_WEB]
    web = subprocess.run(
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    assert web.returncode == 0, web.stderr
