"""A short bad day, as `make chaos` has long ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.chaos.history import LAWS

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_the_laws_hold_while_everything_breaks() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seed", "3", "--seconds", "15"]
    told = subprocess.run(
        [*command, "--children", "scripted"], capture_output=True, text=True, timeout=600
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert all(f"holds   {law}" in told.stdout for law in LAWS)
    assert "seed 3" in told.stdout
