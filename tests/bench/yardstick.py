"""The environment of the last TRL that had PPO, and child processes whose memory is measured."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "tests" / "yardstick" / "requirements.txt"


def var_dir() -> Path:
    return Path(os.environ.get("VAR_DIR", "var")).resolve()


def environment() -> Path:
    """Return the yardstick's Python; install it on first use, or when its versions changed."""
    folder = var_dir() / "yardstick"
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print("Installing TRL 1.12 to measure against (once, some minutes) ...", flush=True)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    return python


def measured(program: str, settings: dict[str, Any], *, python: str = sys.executable) -> Any:
    """Run a program of the benchmarks in a process of its own; return its last line, read as JSON.

    A process each, because the memory that one takes is never given back whole.
    """
    command = [python, "-m", program, json.dumps(settings)]
    child = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    answer = subprocess.run(command, cwd=ROOT, env=child, stdout=subprocess.PIPE, check=True)
    return json.loads(answer.stdout.decode().splitlines()[-1])


def peak_megabytes() -> int:
    """Return the most memory that this process has had in RAM. The kernel's own count."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise SystemExit("This kernel does not say how much memory a process took (VmHWM).")
