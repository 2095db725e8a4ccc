"""The daily figures: kept up from what is new, they are what a full count gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from annotations import services
from annotations.models import (
    Annotation,
    Assignment,
    DailyCost,
    DailyNews,
    DailyState,
    DailyWork,
    Item,
    Project,
    Recall,
    User,
)
from annotations.selectors import dashboard, person_report
from annotations.selectors.daily import cost_by_day, work_by_day
from annotations.services.daily import keep_up_daily_figures, rebuild_daily_figures
from annotations.tests.factories import (
    make_annotation,
    make_assignment,
    make_comparison,
    make_item,
    make_prompt,
)


def kept_work(project: Project) -> dict[Any, dict[str, int]]:
    names = ("answers", "imported", "gold", "gold_right", "timed", "active_ms")
    return {
        (one.person_id, one.day, one.kind, one.tag): {name: getattr(one, name) for name in names}
        for one in DailyWork.objects.filter(project=project)
    }


def kept_cost(project: Project) -> dict[Any, dict[str, int]]:
    return {
        (one.person_id, one.day, one.kind, one.currency): {"paid": one.paid, "micros": one.micros}
        for one in DailyCost.objects.filter(project=project)
    }


def assert_up_to_date(project: Project) -> None:
    keep_up_daily_figures()
    assert kept_work(project) == {key: vars(sums) for key, sums in work_by_day(project).items()}
    assert kept_cost(project) == {key: vars(sums) for key, sums in cost_by_day(project).items()}


def answer(item: Item, person: User, outcome: str = "left", *, ms: int = 4000) -> Annotation:
    """Return a comparison that was handed out and handed in, without a look at the queue."""
    assignment = make_assignment(item, person)
    assignment.active_ms = ms
    strength = "better" if outcome in ("left", "right") else ""
    return services.submit_comparison(assignment, outcome, strength)


def move(annotation: Annotation, days: int) -> None:
    """Let an annotation have been made some days ago."""
    then = timezone.now() - timedelta(days=days)
    Annotation.objects.filter(id=annotation.pk).update(created_at=then)


def test_it_sums_by_person_day_kind_and_tag(project: Project, bob: User, bea: User) -> None:
    prompt = make_prompt(project, tags=["frogs", "ponds"])
    item = make_item(project, prompt=prompt, overlap=3)
    answer(item, bob, ms=3000)
    plain = answer(make_item(project), bob, ms=2000)
    move(answer(item, bea, ms=1000), 2)
    make_comparison(make_item(project), bea)  # made elsewhere
    gold = services.make_gold(plain)
    answer(gold, bea, "right", ms=500)
    make_annotation(make_item(project, purpose=Item.Purpose.ARENA), bob)
    keep_up_daily_figures()
    today = timezone.now().date()
    zero = {"answers": 0, "imported": 0, "gold": 0, "gold_right": 0, "timed": 0, "active_ms": 0}
    kept = kept_work(project)
    assert kept[bob.pk, today, "comparison", ""] == zero | {
        "answers": 2,
        "timed": 2,
        "active_ms": 5000,
    }
    tagged = zero | {"answers": 1, "timed": 1, "active_ms": 3000}
    assert kept[bob.pk, today, "comparison", "frogs"] == tagged
    assert kept[bob.pk, today, "comparison", "ponds"] == tagged
    assert kept[bea.pk, today - timedelta(days=2), "comparison", ""]["active_ms"] == 1000
    assert kept[bea.pk, today, "comparison", ""] == zero | {
        "imported": 1,
        "gold": 1,
        "timed": 1,
        "active_ms": 500,
    }
    assert len(kept) == 7  # one per person and day, and three times two tags


def test_the_ledger_is_summed_through_a_change_of_rates(
    project: Project, bob: User, alice: User
) -> None:
    rate = {"kind": "", "per_hour": Decimal(0), "currency": "USD", "made_by": alice}
    services.set_rate(project, per_item=Decimal("0.10"), **rate)
    first = answer(make_item(project), bob)
    services.set_rate(project, per_item=Decimal("0.25"), **rate)
    answer(make_item(project), bob)
    keep_up_daily_figures()
    today = timezone.now().date()
    key = (bob.pk, today, "comparison", "USD")
    assert kept_cost(project) == {key: {"paid": 2, "micros": 350_000}}
    assert first.assignment is not None
    services.undo(first.assignment)
    adjustment = {"currency": "USD", "reason": "Thanks", "made_by": alice, "key": uuid4()}
    services.adjust_pay(project, bob, Decimal("1.5"), **adjustment)
    assert_up_to_date(project)
    assert kept_cost(project)[key] == {"paid": 1, "micros": 250_000}
    assert kept_cost(project)[bob.pk, today, "", "USD"] == {"paid": 0, "micros": 1_500_000}


def volume_of(project: Project, person: User) -> tuple[Any, ...]:
    """Return what the page of a person counts, or adds up of the daily figures."""
    report = person_report(project, person)
    gold = (report.gold, report.gold_by_kind, report.gold_weeks)
    return report.by_kind, report.answers, report.weeks, *gold


class Life:
    """Whatever can happen to annotations, by lot."""

    def __init__(self, project: Project, people: list[User], seed: int) -> None:
        self.project, self.people = project, people
        self.rng = random.Random(seed)
        prompts = [make_prompt(project, f"Prompt {n}", tags=["a", "b"][:n]) for n in range(3)]
        self.items = [make_item(project, prompt=prompts[n % 3], overlap=50) for n in range(12)]
        services.set_rate(
            project,
            kind="",
            per_item=Decimal("0.1"),
            per_hour=Decimal(15),
            currency="EUR",
            made_by=project.created_by,
        )

    def assignment(self) -> Assignment | None:
        closed = Assignment.objects.filter(state="submitted", item__project=self.project)
        return self.rng.choice(list(closed)) if closed else None

    def submit(self) -> None:
        item, person = self.rng.choice(self.items), self.rng.choice(self.people)
        if not item.annotations.filter(annotator=person).exists():
            outcome = self.rng.choice(["left", "right", "tie"])
            made = answer(item, person, outcome, ms=self.rng.randrange(9000))
            move(made, self.rng.randrange(4))

    def correct(self) -> None:
        if (one := self.assignment()) and (current := services.annotation_in_force(one)):
            services.submit_comparison(one, "tie", correcting=current.pk)

    def undo(self) -> None:
        if one := self.assignment():
            services.undo(one)

    def recall(self) -> None:
        scope = Recall(project=self.project, annotator=self.rng.choice(self.people))
        same = Recall.objects.filter(annotator=scope.annotator, lifted_at=None)
        if one := same.first():
            services.lift_recall(one, lifted_by=self.project.created_by, reason="It was fine.")
        else:
            services.recall(scope, recalled_by=self.project.created_by, reason="Look at it.")

    def gold(self) -> None:
        if (one := self.assignment()) and (current := services.annotation_in_force(one)):
            made = services.make_gold(current)
            if made not in self.items:
                self.items.append(made)

    def bring_in(self) -> None:
        make_comparison(make_item(self.project), self.rng.choice(self.people))

    def adjudicate(self) -> None:
        item = self.rng.choice(self.items)
        try:
            services.adjudicate_comparison(item, self.project.created_by, "tie", reason="Both.")
        except services.ServiceError:
            return


def test_what_is_kept_up_is_what_a_full_count_gives(
    project: Project, bob: User, bea: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(project, [bob, bea, ben], seed=1)
    acts: list[Callable[[], None]] = [
        *[life.submit] * 4,
        *[life.correct] * 2,
        life.undo,
        life.recall,
        life.gold,
        life.bring_in,
        life.adjudicate,
    ]
    keep_up_daily_figures()
    first = DailyState.objects.get(project=project).rebuilt_at
    for _ in range(7):
        for act in life.rng.choices(acts, k=8):
            act()
        assert_up_to_date(project)
    for recall in Recall.objects.filter(lifted_at=None):
        services.lift_recall(recall, lifted_by=project.created_by, reason="It was fine.")
    assert_up_to_date(project)
    assert DailyState.objects.get(project=project).rebuilt_at == first
    assert len(kept_work(project)) > 5
    counted = [volume_of(project, person) for person in life.people]
    assert sum(answers for _, answers, *_ in counted) > 5
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    assert [volume_of(project, person) for person in life.people] == counted


def test_an_answer_that_was_not_there_yet_is_found_later(project: Project, bob: User) -> None:
    """On PostgreSQL an earlier number may become visible after a later one."""
    for _ in range(3):
        answer(make_item(project), bob)
    keep_up_daily_figures()
    news = DailyNews.objects.get()
    highest = Annotation.objects.order_by("-id").values_list("id", flat=True)[0]
    news.seen["Annotation"] = [highest, highest - 1]
    news.save()
    DailyWork.objects.update(answers=2)
    keep_up_daily_figures()
    assert kept_work(project) == {key: vars(sums) for key, sums in work_by_day(project).items()}
    assert DailyNews.objects.get().seen["Annotation"] == [highest]


def test_a_new_day_sets_right_what_no_row_tells_of(project: Project, bob: User) -> None:
    item = make_item(project)
    answer(item, bob)
    keep_up_daily_figures()
    item.prompt.tags = ["late"]
    item.prompt.save()
    keep_up_daily_figures()
    assert not DailyWork.objects.filter(tag="late").exists()
    DailyState.objects.update(rebuilt_at=timezone.now() - timedelta(days=1))
    keep_up_daily_figures()
    assert DailyWork.objects.get(tag="late").answers == 1


def test_a_flood_is_reckoned_as_a_whole(
    project: Project, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_up_daily_figures()
    monkeypatch.setattr("annotations.services.daily.MANY", 2)
    for _ in range(5):
        make_comparison(make_item(project), bob)
    assert_up_to_date(project)
    assert DailyWork.objects.get().imported == 5


def test_nothing_new_writes_no_figures(project: Project, bob: User) -> None:
    answer(make_item(project), bob)
    keep_up_daily_figures()
    before = list(DailyWork.objects.values_list("id", flat=True))
    revision = DailyState.objects.get(project=project).revision
    keep_up_daily_figures()
    assert DailyState.objects.get(project=project).revision == revision
    rebuild_daily_figures(project)
    assert list(DailyWork.objects.values_list("id", flat=True)) == before


def test_a_project_with_nothing_has_no_figures(project: Project) -> None:
    keep_up_daily_figures()
    assert not DailyWork.objects.exists()
    assert DailyState.objects.filter(project=project).exists()


def test_a_command_reckons_everything_again(project: Project, bob: User) -> None:
    answer(make_item(project), bob)
    keep_up_daily_figures()
    DailyWork.objects.update(answers=7)
    call_command("rebuild_daily_figures")
    assert DailyWork.objects.get(tag="").answers == 1


def test_a_first_pass_that_is_cut_off_is_made_again_by_the_next(
    project: Project, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(make_item(project), bob)

    def cut_off(_project: Project) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("annotations.services.daily.cost_by_day", cut_off)
        with pytest.raises(KeyboardInterrupt):
            keep_up_daily_figures()
    assert dashboard(project, 30).read_at is None
    assert not DailyWork.objects.exists()
    assert_up_to_date(project)
    assert DailyWork.objects.exists()
    assert dashboard(project, 30).read_at is not None
