"""A policy leaves the platform as a plain model: by hand, and in the service's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotations.models import Project
from training import artifacts, services
from training.models import Checkpoint
from training.tests import scripted
from training.tests.factories import make_base, make_checkpoint


def test_it_exports_from_the_command_line(
    project: Project, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.TRAINING_COMMAND = scripted.command("works")
    policy, folder = make_checkpoint(project), tmp_path / "plain"
    call_command("export_checkpoint", str(policy.pk), str(folder))
    assert (folder / "manifest.json").is_file()
    assert f"{policy} lies in {folder}." in capsys.readouterr().out
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_checkpoint", str(policy.pk), str(folder))


def test_it_says_why_nothing_was_exported(project: Project, settings: Any, tmp_path: Path) -> None:
    settings.TRAINING_COMMAND = scripted.command("vanishes")
    with pytest.raises(CommandError, match="There is no checkpoint 0"):
        call_command("export_checkpoint", "0", str(tmp_path / "plain"))
    with pytest.raises(CommandError, match="is a plain model already"):
        call_command("export_checkpoint", str(make_base(project).pk), str(tmp_path / "plain"))
    policy = make_checkpoint(project)
    with pytest.raises(CommandError, match="Nothing was exported"):
        call_command("export_checkpoint", str(policy.pk), str(tmp_path / "plain"))


@pytest.mark.parametrize("kind", [Checkpoint.Kind.BASE, Checkpoint.Kind.REWARD])
def test_it_refuses_what_has_no_adapter_on_a_language_model(project: Project, kind: str) -> None:
    checkpoint = make_base(project) if kind == "base" else make_checkpoint(project, kind=kind)
    with pytest.raises(services.ServiceError, match=r"plain model already|is a reward model"):
        services.request_export(checkpoint, started_by=project.created_by)


def test_an_exported_model_carries_its_card(project: Project) -> None:
    policy = make_checkpoint(project, name="gentle")
    run = services.request_export(policy, started_by=project.created_by)
    card = artifacts.job_for(run).card
    assert card.startswith("---\nbase_model: ")
    assert "# gentle" in card
    assert '"transformers"' in card, "the adapter is merged"
