"""Rounds that go on by themselves: switching it on, and the one step that a dispatcher takes.

Each step does what a person would do, through the same services and in the name of who wanted it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from training import outbox, selectors
from training.models import Automation, Round, Webhook
from training.next_act import Act, ActName, NeedsPerson
from training.services.acts import carry_out
from training.services.audit import record
from training.services.refusals import ServiceError
from training.services.rounds import open_round

if TYPE_CHECKING:
    from annotations.models import Project, User

ACT_LIMIT = timedelta(minutes=12)
"""A dispatcher that holds its turn for so long is dead: its task is ended after ten minutes."""
MOST = 1_000_000


def set_automation(
    project: Project, *, mode: str, new_comparisons: int, settings_from: str, changed_by: User
) -> Automation:
    """Say how far the project's rounds go by themselves, from now on in this person's name."""
    if mode not in Automation.Mode.values:
        raise ServiceError(f"Choose one of {', '.join(Automation.Mode.values)}.")
    if settings_from not in Automation.SettingsFrom.values:
        raise ServiceError(f"Choose one of {', '.join(Automation.SettingsFrom.values)}.")
    if not 1 <= new_comparisons <= MOST:
        raise ServiceError(f"Choose a number of comparisons from 1 to {MOST}.")
    with transaction.atomic():
        automation, _ = Automation.objects.update_or_create(
            project=project,
            defaults={
                "mode": mode,
                "new_comparisons": new_comparisons,
                "settings_from": settings_from,
                "changed_by": changed_by,
                "asks": "",
            },
        )
        if mode != Automation.Mode.OFF:
            _open_rounds(project).update(driven_by=changed_by)
        reason = (
            f"{automation.get_mode_display()}. A round trains after {new_comparisons} new "
            f"judgements; settings: {automation.get_settings_from_display()}."
        )
        record(project, changed_by, "set", automation, reason)
    return automation


@transaction.atomic
def run_round(project: Project, *, wanted_by: User) -> Round:
    """Let the open round, or a new one, go on by itself to its end, in this person's name."""
    opened = open_round(project)
    Automation.objects.get_or_create(project=project, defaults={"changed_by": wanted_by})
    _open_rounds(project).update(driven_by=wanted_by, halted_act="", halted_because="")
    opened.refresh_from_db()
    return opened


def drive_by_hand(project: Project) -> None:
    """Let the open round do nothing more by itself. What runs goes on; nothing is lost."""
    _open_rounds(project).update(driven_by=None)
    Automation.objects.filter(project=project).update(asks="")


def retry_stage(project: Project) -> None:
    """Forget the run on which the open round stopped, so that its stage begins anew."""
    opened = _stopped(project)
    changes = {"halted_act": "", "halted_because": "", **_failed(opened)}
    _open_rounds(project).update(**changes)


def skip_stage(project: Project) -> None:
    """Go on without what the open round waits for: judgements, a reward model, or the suite.

    A policy and its evaluation have nothing to go on with; such a round is ended instead.
    """
    opened, found = selectors.open_round(project), selectors.whats_next(project)
    if opened is None or isinstance(found, Act) or not found.skip:
        raise ServiceError(
            "There is nothing to go on with here. Retry the stage, wait, or end the round."
        )
    skipped = sorted({*opened.skipped, found.skips})
    _open_rounds(project).update(skipped=skipped, halted_act="", halted_because="")


def advance(project_id: int) -> None:
    """Do what the project's loop does next, if anything. Delivered twice it does it once.

    Whoever holds the turn reads how things stand and acts on it; a second one finds the turn
    taken, or finds that the act is done.
    """
    free = Q(acting_since=None) | Q(acting_since__lt=Now() - ACT_LIMIT)
    turn = Automation.objects.filter(project=project_id)
    if not turn.filter(free).update(acting_since=Now()):
        return
    try:
        automation = turn.select_related("project", "changed_by").get()
        _act(automation)
        found = selectors.whats_next(automation.project)
        asks = str(found) if isinstance(found, NeedsPerson) and _is_on(automation) else ""
        _note_asks(turn, asks)
    finally:
        turn.update(acting_since=None)


@transaction.atomic
def _note_asks(turn: QuerySet[Automation], asks: str) -> None:
    """Keep what a person is asked for, and tell whoever wants to hear that one is."""
    if turn.exclude(asks=asks).update(asks=asks) and asks:
        automation = turn.select_related("project").get()
        opened = selectors.open_round(automation.project)
        told = {"round_id": opened.pk if opened else None}
        key = uuid.uuid4().hex  # the same may be asked again later
        outbox.note(automation.project_id, Webhook.Kind.ROUND_WAITING, key, **told)


def _act(automation: Automation) -> None:
    found = selectors.whats_next(automation.project)
    if not (isinstance(found, Act) and _is_on(automation)):
        return
    opened = selectors.open_round(automation.project)
    driver = opened.driven_by if opened else automation.changed_by
    assert driver is not None  # who drives is looked at before there is an act
    try:
        carry_out(found.name, automation, opened, driver)
    except ServiceError as refusal:
        _halt(automation.project, found.name, str(refusal))


def _halt(project: Project, act: ActName, reason: str) -> None:
    """Note why an act was refused; it is tried again when a person says so."""
    _open_rounds(project).update(halted_act=act, halted_because=reason)


def _is_on(automation: Automation) -> bool:
    driven = _open_rounds(automation.project).filter(driven_by__isnull=False)
    return automation.mode != Automation.Mode.OFF or driven.exists()


def _open_rounds(project: Project) -> QuerySet[Round]:
    return Round.objects.filter(project=project, ended_at=None)


def _stopped(project: Project) -> Round:
    opened = selectors.open_round(project)
    if opened is None:
        raise ServiceError("No round is open. Run the next one.")
    if not (opened.halted_act or _failed(opened)):
        raise ServiceError("Nothing has failed in this round, so there is nothing to retry.")
    return opened


def _failed(opened: Round) -> dict[str, None]:
    """Return the fields of the round whose runs failed or were cancelled, as if there were none."""
    runs = {
        "sample_run": opened.sample_run,
        "reward_run": opened.reward_run,
        "policy_run": opened.policy_run,
        "suite_run": opened.suite_run,
        "evaluation": opened.evaluation.run if opened.evaluation else None,
    }
    fell = selectors.FELL_THROUGH
    return {name: None for name, run in runs.items() if run is not None and run.state in fell}
