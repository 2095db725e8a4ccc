"""The run page in a real browser: alive without a reload, and quiet for the reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page

from annotations.models import Project, User
from training.models import Metric, Run
from training.tests.factories import make_run, make_snapshot, of_known_size

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def eve_is_there(sign_in: Callable[[User], None], eve: User) -> None:
    sign_in(eve)


@pytest.fixture
def run(project: Project) -> Run:
    return make_run(
        project,
        state="running",
        attempt=1,
        started_at=timezone.now(),
        phase="training",
        phase_unit="step",
        total_steps=40,
        step=1,
    )


def address(run: Run) -> str:
    return reverse("training:run", args=[run.pk])


def test_it_follows_the_run_without_a_reload(page: Page, run: Run) -> None:
    page.goto(address(run))
    page.evaluate("window.stayed = true")
    page.get_by_text("step 1 of 40").wait_for()

    Metric.objects.bulk_create(
        Metric(run=run, name="loss", step=step, value=3 / step) for step in range(1, 6)
    )
    Run.objects.filter(id=run.pk).update(step=5, log_tail="step 5 done")
    page.get_by_text("step 5 of 40").wait_for(timeout=8000)
    page.get_by_role("img", name="Loss. loss: 5 points").wait_for()
    page.get_by_text("step 5 done").wait_for()

    Run.objects.filter(id=run.pk).update(
        state="succeeded", ended_at=timezone.now(), results={"eval_loss": 1.5}
    )
    page.get_by_role("heading", name="Results").wait_for(timeout=8000)
    assert page.locator("#live[hx-trigger]").count() == 0
    assert page.evaluate("window.stayed") is True


def test_the_estimate_follows_the_settings_before_the_start(page: Page, project: Project) -> None:
    of_known_size(project)
    make_snapshot(project)
    page.goto(reverse("training:new_run", args=[project.pk]) + "?stage=sft")
    estimate = page.locator("#estimate")
    estimate.get_by_text("At its peak about").wait_for()
    page.get_by_label("Learning rate").fill("9")
    page.get_by_label("Learning rate").blur()
    estimate.get_by_text("as soon as everything above has a value").wait_for()
    page.get_by_label("Learning rate").fill("1e-4")
    page.get_by_label("Learning rate").blur()
    estimate.get_by_text("At its peak about").wait_for()
    assert not Run.objects.exists()


def test_it_keeps_focus_and_scroll_while_it_follows(page: Page, run: Run) -> None:
    log = "\n".join(f"line {number}" for number in range(60))
    Run.objects.filter(id=run.pk).update(log_tail=log)
    page.set_viewport_size({"width": 900, "height": 500})
    page.goto(address(run))
    page.locator("#cancel-button").focus()
    page.evaluate("window.scrollTo(0, 300)")
    Run.objects.filter(id=run.pk).update(step=7)
    page.get_by_text("step 7 of 40").wait_for(timeout=8000)
    assert page.evaluate("document.activeElement.id") == "cancel-button"
    assert page.evaluate("window.scrollY") == 300


def test_it_stops_asking_once_the_run_has_ended(page: Page, run: Run) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    Run.objects.filter(id=run.pk).update(state="cancelled", ended_at=timezone.now())
    page.goto(address(run))
    page.wait_for_timeout(3000)
    assert [url for url in asked if "/status/" in url] == []


def test_it_cancels_from_inside_the_living_part(page: Page, run: Run) -> None:
    page.goto(address(run))
    page.locator("#cancel-button").click()
    page.get_by_text("stops within seconds").wait_for()
    run.refresh_from_db()
    assert run.cancel_requested_at is not None


def test_it_reloads_by_itself_without_scripts(
    browser: Browser, live_server: Any, client: Any, run: Run
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    session = client.cookies["session"].value
    context.add_cookies([{"name": "session", "value": session, "url": live_server.url}])
    page = context.new_page()
    page.goto(address(run))
    page.locator("noscript .notice").wait_for()
    Run.objects.filter(id=run.pk).update(step=9)
    page.get_by_text("step 9 of 40").wait_for(timeout=12_000)
    context.close()


def test_it_shows_every_page_within_its_policy_and_its_width(
    page: Page, run: Run, project: Project
) -> None:
    names = ("loop", "snapshots", "runs", "new_run", "checkpoints", "arena", "arena_settings")
    page.set_viewport_size({"width": 390, "height": 800})
    for path in [reverse(f"training:{name}", args=[project.pk]) for name in names]:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, path
