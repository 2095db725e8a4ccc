"""One bad day: people label and runs train while things break; afterwards the laws are checked."""

from __future__ import annotations

import hashlib
import heapq
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import (
    DatabaseError,
    InterfaceError,
    close_old_connections,
    connection,
    transaction,
)
from django.db.models import Count, Q
from django.utils import timezone

from annotations import services as annotation_services
from annotations.models import (
    Annotation,
    Assignment,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Role,
    in_force,
)
from annotations.tests.factories import make_item
from tests.chaos.history import End, Ended, Folder, History, Kept, Place
from tests.chaos.people import Person
from tests.chaos.schedule import AGAIN, Fault
from tests.chaos.system import System
from training import artifacts, lifecycle, tasks
from training.models import Checkpoint, DatasetSnapshot, Run
from training.pipeline.checkpoints import file_sha256, is_whole
from training.pipeline.config import SFTConfig
from training.tests.factories import make_base, make_run, make_snapshot
from training.tests.pipeline.rows import demonstration_rows, write_rows

OVERLAP = 3
CALM_S = 60.0
"""So long after the last fault everybody must have got something done."""
REST_S = 240.0
"""So long a run may take that was under way when the day ended."""
RATE = Decimal("0.01")
RATE_MICROS = 10_000

Say = Callable[[str], None]


@transaction.atomic
def prepare(people: int, items: int, runs: int, base: Path | None) -> tuple[Project, list[Run]]:
    """Make a project with work for everybody, and runs that wait. Without a base none learns."""
    owner = get_user_model().objects.create(username="owner-of-the-day")
    project = Project.objects.create(name="A bad day", created_by=owner, lease_minutes=1)
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    GuidelineVersion.objects.create(
        project=project,
        kind=Kind.COMPARISON,
        version=1,
        text="Choose the better one.",
        html="<p>Choose the better one.</p>",
        created_by=owner,
        published_at=timezone.now(),
    )
    annotation_services.set_rate(
        project, kind="", per_item=RATE, per_hour=Decimal(0), currency="EUR", made_by=owner
    )
    for number in range(people):
        user = get_user_model().objects.create(username=f"person-{number}")
        Membership.objects.create(project=project, user=user, role=Role.ANNOTATOR)
    for _ in range(items):
        make_item(project, overlap=OVERLAP)
    return project, [queue_run(project, base) for _ in range(runs)]


def queue_run(project: Project, base: Path | None) -> Run:
    """Queue one of many runs with the same settings and data."""
    config = SFTConfig(batch_size=5, epochs=20, checkpoint_every=4, looks=1, seed=1).to_dict()
    snapshot = DatasetSnapshot.objects.filter(project=project).first() or make_snapshot(project)
    parent = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE).first()
    if parent is None:
        changes = {} if base is None else {"path": str(base)}
        parent = make_base(project, **changes)
        write_rows(artifacts.snapshot_rows(snapshot), demonstration_rows())
    return make_run(project, "sft", config=config, snapshot=snapshot, parent=parent)


def people_of(project: Project, port: int, seed: int) -> list[Person]:
    """Return the annotators of a project, each at a browser."""
    members = Membership.objects.filter(project=project, role=Role.ANNOTATOR)
    return [
        Person(membership.user, project.pk, port, seed + number)
        for number, membership in enumerate(members.select_related("user").order_by("id"))
    ]


def live_through(
    system: System, faults: Sequence[Fault], people: Sequence[Person], runs: Sequence[Run], say: Say
) -> History:
    """Let everybody work while things break; return what they were told."""
    began = time.monotonic()
    for person in people:
        person.start()
    wait_for_a_beginning(people, runs)
    let_it_break(system, faults, runs, say)
    system.mend()
    calm_at = time.monotonic()
    silent = wait_for_everybody(people, calm_at)
    for person in people:
        person.goes_home.set()
    for person in people:
        person.join(60)
    acts = [act for person in people for act in person.acts]
    answers = Counter(act.answer for act in acts)
    say(
        f"{time.monotonic() - began:6.1f} s  everybody has worked again; "
        + ", ".join(f"{count} {answer}" for answer, count in answers.most_common())
    )
    come_to_rest(runs, say)
    return History(
        acts=acts,
        troubles=[trouble for person in people for trouble in person.troubles],
        asked_runs=[run.pk for run in runs],
        silent_people=silent,
    )


def wait_for_a_beginning(people: Sequence[Person], runs: Sequence[Run]) -> None:
    """Return when there is something to break: an answer was acknowledged, and a run goes on."""
    going = Run.objects.filter(id__in=[run.pk for run in runs], step__gt=0)
    began = time.monotonic()
    while time.monotonic() - began < CALM_S:
        if any(person.done_at for person in people) and going.exists():
            return
        time.sleep(0.1)


def let_it_break(system: System, faults: Sequence[Fault], runs: Sequence[Run], say: Say) -> None:
    """Let each fault happen at its time, and mend it when its time is over."""
    draw = random.Random(str(faults))
    began = time.monotonic()
    coming: list[tuple[float, int, Callable[[], object]]] = []

    def strike(fault: Fault) -> None:
        say(str(fault))
        if fault.kind == AGAIN:
            deliver_again(runs)
        else:
            mend = system.strike(fault, draw)
            heapq.heappush(coming, (fault.at + fault.lasts, len(faults) + id(fault), mend))

    for number, fault in enumerate(faults):
        heapq.heappush(coming, (fault.at, number, lambda fault=fault: strike(fault)))
    while coming:
        at, _, act = heapq.heappop(coming)
        time.sleep(max(0.0, began + at - time.monotonic()))
        act()


def deliver_again(runs: Sequence[Run]) -> None:
    """Send the hint of every run once more, twice, unless the broker is away."""
    for run in runs:
        try:
            if not (tasks.send_hint(run.pk, "training") and tasks.send_hint(run.pk, "training")):
                return
        except (DatabaseError, InterfaceError):  # it is away at this moment
            connection.close()
            return


def wait_for_everybody(people: Sequence[Person], since: float) -> list[str]:
    """Return who got nothing done within a while after the last fault."""
    silent = list(people)
    while silent and time.monotonic() - since < CALM_S:
        time.sleep(0.1)
        silent = [one for one in silent if not any(at > since for at in one.done_at[-1:])]
    return [person.name for person in silent]


def come_to_rest(runs: Sequence[Run], say: Say) -> None:
    """Cancel what still waits, and return when nothing runs any more, or time is up."""
    close_old_connections()
    numbers = [run.pk for run in runs]
    began = time.monotonic()
    waiting = Run.objects.filter(id__in=numbers, state=Run.State.QUEUED, attempt=0)
    for number in list(waiting.values_list("id", flat=True))[1:]:
        lifecycle.cancel(number)
    going = Run.objects.filter(id__in=numbers).exclude(state__in=Run.TERMINAL)
    while going.exists() and time.monotonic() - began < REST_S:
        time.sleep(0.3)
    states = Counter(Run.objects.filter(id__in=numbers).values_list("state", flat=True))
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    say(f"{time.monotonic() - began:6.1f} s  later the runs have come to rest: {told}")
    for run in Run.objects.filter(id__in=numbers, state=Run.State.FAILED):
        say(f"          run {run.pk} at step {run.step}: {run.error}")


def look_around(system: System, project: Project) -> End:
    """Return what is there after everything was stopped."""
    return End(
        kept=kept_in(project),
        places=places_of(project),
        runs=runs_of(project),
        folders=folders_of(project),
        left_processes=system.left_behind(),
        rate=RATE_MICROS,
        most_losses=Run.MAX_TIMES_LOST,
        damaged=damage(),
    )


def kept_in(project: Project) -> list[Kept]:
    of_day = Annotation.objects.filter(item__project=project)
    standing = set(of_day.filter(in_force()).values_list("id", flat=True))
    annotations = of_day.select_related("comparison").prefetch_related("pay_entries")
    return [
        Kept(
            annotation=annotation.pk,
            assignment=annotation.assignment_id or 0,
            item=annotation.item_id,
            person=annotation.annotator_id,
            choice="-".join(
                filter(None, (annotation.comparison.outcome, annotation.comparison.strength))
            ),
            surplus=annotation.surplus,
            in_force=annotation.pk in standing,
            earnings=tuple(entry.amount_micros for entry in annotation.pay_entries.all()),
        )
        for annotation in annotations
    ]


def places_of(project: Project) -> list[Place]:
    leased = Count("assignments", filter=Q(assignments__state=Assignment.State.LEASED))
    items = Item.objects.filter(project=project).annotate(out=leased)
    return [Place(item.pk, item.overlap, item.open_slots, item.out) for item in items]


def runs_of(project: Project) -> list[Ended]:
    return [
        Ended(
            run=run.pk,
            state=run.state,
            error=run.error,
            times_lost=run.times_lost,
            cancel_asked=run.cancel_requested_at is not None,
            checkpoints=Checkpoint.objects.filter(run=run).count(),
            config=f"{run.stage} {sorted(run.config.items())}",
            digest=digest_of(run),
            repeated_steps=tuple(step for step, times in steps_of(run).items() if times > 1),
        )
        for run in Run.objects.filter(project=project)
    ]


def steps_of(run: Run) -> Counter[int]:
    """Return how often each step was done, where the children write that down."""
    try:
        text = (artifacts.work_folder(run) / "steps.txt").read_text(encoding="ascii")
    except FileNotFoundError:
        return Counter()
    return Counter(map(int, text.split()))


def digest_of(run: Run) -> str:
    weights = artifacts.output_folder(run) / "adapter_model.safetensors"
    return file_sha256(weights) if run.state == Run.State.SUCCEEDED and weights.is_file() else ""


def folders_of(project: Project) -> list[Folder]:
    named = set(
        Checkpoint.objects.filter(project=project)
        .exclude(kind=Checkpoint.Kind.BASE)
        .values_list("path", flat=True)
    )
    root = Path(settings.ARTIFACTS_ROOT)
    found = {
        folder.relative_to(root).as_posix()
        for folder in (artifacts.project_folder(project.pk) / "checkpoints").glob("*")
        if ".tmp-" not in folder.name
    }
    return [
        Folder(path, whole=is_whole(root / path), named=path in named)
        for path in sorted(found | named)
    ]


def damage() -> list[str]:
    """Return what the database finds wrong with itself."""
    if connection.vendor != "sqlite":
        return []
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        found = [row[0] for row in cursor.fetchall() if row[0] != "ok"]
        cursor.execute("PRAGMA foreign_key_check")
        return found + [f"A row points at nothing: {row}" for row in cursor.fetchall()]


def name_of(faults: Sequence[Fault]) -> str:
    """Return a short name of a schedule, to see that two days had the same."""
    return hashlib.sha256(repr(faults).encode()).hexdigest()[:8]
