"""`manage.py train`: start a run with the checks of the form, and watch it to its end."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.http import Http404

from annotations import access as collecting
from training import access, artifacts, figures, selectors, services
from training.charts import short
from training.forecast import forecast
from training.forms import (
    SNAPSHOT_CONTENT,
    TRAINED_STAGES,
    RunForm,
    config_fields,
    posted,
    run_defaults,
)
from training.models import Checkpoint, Run
from training.pipeline.config import read_settings
from training.pipeline.errors import PipelineError
from training.pipeline.presets import find_preset, presets_of

LOOK_EVERY_S = 1.0
FAILED, REFUSED, CANCELLED, NO_LONGER_WATCHED = 1, 2, 3, 130
SHOWN_METRICS = 4


class Command(BaseCommand):
    """Exit status: 0 succeeded, 1 failed, 2 refused, 3 cancelled, 130 no longer watched."""

    help = (
        "Start a training run with the checks of the form, and watch it. Exit status: 0 it "
        "succeeded, 1 it failed, 2 it was refused, 3 it was cancelled, 130 no longer watched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stage", choices=[str(stage) for stage in TRAINED_STAGES])
        parser.add_argument("--project", required=True, help="its number or its name")
        parser.add_argument("--as", dest="username", required=True, help="who starts the run")
        parser.add_argument("--parent", help="checkpoint to start from (default: the promoted)")
        parser.add_argument("--snapshot", help="number of a snapshot (default: the newest)")
        parser.add_argument("--reward-model", help="of ppo: a checkpoint (default: the newest)")
        parser.add_argument("--preset", default="", help="quick, haiku, 7b … as in the form")
        parser.add_argument(
            "--config", type=Path, help="a file of settings: a job that a run's page exported"
        )
        parser.add_argument(
            "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings, over all others"
        )
        parser.add_argument("--detach", action="store_true", help="start it and do not watch")

    def handle(self, *_: Any, **options: Any) -> None:
        run = self.start(options)
        self.stdout.write(f"{run} is queued.")
        self.tell_needs(run)
        if options["detach"]:
            return
        try:
            self.watch(run)
        except KeyboardInterrupt:
            raise CommandError(
                f"No longer watched; {run} goes on. Cancel it on its page: /runs/{run.pk}/",
                returncode=NO_LONGER_WATCHED,
            ) from None
        self.tell_end(run)

    def start(self, options: dict[str, Any]) -> Run:
        """Queue the run, or refuse it with every reason at once."""
        user, project = who_and_where(options["username"], options["project"])
        stage = options["stage"]
        if options["preset"] and find_preset(stage, options["preset"]) is None:
            known = ", ".join(preset.name for preset in presets_of(stage))
            raise _refusal(f"{stage} has no preset {options['preset']}; it has {known}.")
        values = run_defaults(project, stage, preset=options["preset"])
        if options["config"]:
            values |= _settings_of(options["config"], stage)
        for name, option in (("parent", "parent"), ("reward_checkpoint", "reward_model")):
            if options[option]:
                values[name] = _checkpoint(project, options[option])
        if options["snapshot"]:
            values["snapshot"] = _snapshot(project, stage, options["snapshot"])
        form = RunForm(project, stage, posted(stage, values | _pairs(options["set"], stage)))
        if not form.is_valid():
            raise _refusal(_reasons(form))
        try:
            return services.start_run(
                project,
                stage,
                form.config(),
                parent=form.cleaned_data["parent"],
                snapshot=form.cleaned_data["snapshot"],
                reward_checkpoint=form.cleaned_data.get("reward_checkpoint"),
                started_by=user,
            )
        except services.ServiceError as error:
            raise _refusal(str(error)) from None

    def tell_needs(self, run: Run) -> None:
        """Print what the run is reckoned to need, beside what is free here."""
        found = forecast(artifacts.job_for(run))
        if found.peak:
            self.stdout.write(
                f"At its peak it needs about {found.peak} in {found.number_type}; {found.free} of "
                f"{found.total} of this machine's {found.where} are free now."
            )
        if found.warning:
            self.stdout.write(self.style.WARNING(found.warning))

    def watch(self, run: Run) -> None:
        """Print what changes until the run has ended."""
        said, step_said = "", -1
        while run.state not in Run.TERMINAL:
            line = _line(run)
            if line != said:
                self.stdout.write(line)
                said = line
            step_said = self.tell_metrics(run, step_said)
            time.sleep(LOOK_EVERY_S)
            run.refresh_from_db()
        self.tell_metrics(run, step_said)

    def tell_metrics(self, run: Run, after: int) -> int:
        """Print the main metrics of the steps after `after`; return the last step there is."""
        steps: dict[int, list[str]] = {}
        points = run.metrics.filter(step__gt=after).order_by("step", "id")
        for step, name, value in points.values_list("step", "name", "value"):
            steps.setdefault(step, []).append(f"{name} {short(value)}")
        for step, words in steps.items():
            self.stdout.write(f"  step {step}: {', '.join(words[:SHOWN_METRICS])}")
        return max(steps, default=after)

    def tell_end(self, run: Run) -> None:
        """Print the results, or raise with what happened."""
        if run.state == Run.State.FAILED:
            raise CommandError(f"{run} failed. {run.error}", returncode=FAILED)
        if run.state == Run.State.CANCELLED:
            raise CommandError(f"{run} was cancelled.", returncode=CANCELLED)
        for figure in figures.result_figures(run.stage, run.results):
            note = f" ({figure.note})" if figure.note else ""
            self.stdout.write(f"  {figure.label}: {figure.value}{note}")
        made = Checkpoint.objects.filter(run=run).first()
        self.stdout.write(self.style.SUCCESS(f"{run} succeeded: checkpoint {made}."))


def _refusal(words: str) -> CommandError:
    return CommandError(f"The run was not started. {words}", returncode=REFUSED)


def who_and_where(username: str, named: str) -> tuple[Any, Any]:
    """Return a person and a project that they train in; refuse what is not."""
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise _refusal(f"There is nobody called {username}.")
    for membership in collecting.get_projects_for(user):
        project = membership.project
        if named in (str(project.pk), project.name):
            try:
                return user, access.get_project_for(user, project.pk)
            except Http404:
                break
    raise _refusal(f"{username} trains in no project {named}. Ask its owner for the role engineer.")


def _checkpoint(project: Any, named: str) -> int:
    found = project.checkpoints.filter(name=named).first()
    if found is None:
        names = ", ".join(project.checkpoints.values_list("name", flat=True)[:20]) or "none yet"
        raise _refusal(f"There is no checkpoint {named} in {project}; there are {names}.")
    return int(found.pk)


def _snapshot(project: Any, stage: str, named: str) -> int:
    content = SNAPSHOT_CONTENT[stage]
    fitting = project.snapshots.filter(content=content).values_list("pk", flat=True)
    if named.lstrip("#") not in map(str, fitting):
        numbers = ", ".join(map(str, fitting[:20])) or "none yet"
        raise _refusal(
            f"{stage} learns from a snapshot of {content.value}, which {named} is not; there are "
            f"{numbers}. Freeze one on the snapshots page."
        )
    return int(named.lstrip("#"))


def _settings_of(path: Path, stage: str) -> dict[str, Any]:
    """Return the settings in an exported job, or in a file of settings alone."""
    try:
        return read_settings(path.read_text(encoding="utf-8"), stage)
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(f"{path} can't be read: {error}.") from None
    except PipelineError as error:
        raise _refusal(f"{path}: {error}") from None


def _pairs(texts: list[str], stage: str) -> dict[str, Any]:
    known = [field.name for field in config_fields(stage)]
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise _refusal(f"Write --set NAME=VALUE with a name of {', '.join(known)}.")
        found[name] = None if value.lower() in ("", "none", "false") else value
    return found


def _reasons(form: RunForm) -> str:
    reasons = []
    for name, errors in form.errors.get_json_data().items():
        for error in errors:
            prefix = "" if name == "__all__" else f"{name}: "
            reasons.append(prefix + error["message"])
    return "\n".join(reasons)


def _line(run: Run) -> str:
    if run.state == Run.State.QUEUED:
        return "waits for a free training worker"
    progress = selectors.run_progress(run)
    line = run.phase or run.state
    if progress.total:
        line += f", {progress.unit} {progress.done} of {progress.total}"
    if progress.eta_seconds is not None:
        line += f", {figures.duration(progress.eta_seconds)} left"
    return line
