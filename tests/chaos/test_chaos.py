"""A short bad day, as `make chaos` has long ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.chaos.history import LAWS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "day",
    [
        pytest.param(("--seed", "6", "--seconds", "8", "--short"), id="short"),
        pytest.param(
            ("--seed", "3", "--seconds", "15", "--children", "scripted"),
            marks=pytest.mark.long,
            id="of-15-seconds",
        ),
        pytest.param(
            ("--seed", "11", "--seconds", "8", "--short", "--database", "postgresql"),
            marks=pytest.mark.long,
            id="whose-database-has-no-room",
        ),
    ],
)
def test_the_laws_hold_while_everything_breaks(day: tuple[str, ...]) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *day], capture_output=True, text=True, timeout=600
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert all(f"holds   {law}" in told.stdout for law in LAWS)
    assert f"seed {day[1]}," in told.stdout
