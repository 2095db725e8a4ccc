"""Cases of guidelines and the reward models that are asked about them."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports
from annotations import services as collecting
from annotations.algorithms.clauses import Case, write_case
from annotations.models import Kind, Project, User
from training import artifacts, driver, lifecycle, outcomes, selectors, services
from training.models import CaseScore, Checkpoint, Run
from training.services import ServiceError
from training.supervisor import Outcome
from training.tests.factories import make_base, make_checkpoint, make_run

CASES = [
    Case("Rain.", "drip", "drop", "left"),
    Case("Snow.", "soft", "white", "right"),
    Case("Fog.", "grey", "dim", "tie"),
]
TEXT = "# Be short\n\n" + "\n".join(map(write_case, CASES))


@pytest.fixture
def model(project: Project) -> Checkpoint:
    base = make_base(project)
    return make_checkpoint(project, kind="reward", name="reward-1", parent=base)


def score(run: Run, scores: dict[str, tuple[float, float]]) -> Run:
    """Let a run's child score the cases, and record how the run ended."""
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    folder = artifacts.output_folder(run)
    folder.mkdir(parents=True)
    rows = [
        {
            "digest": row["digest"],
            "first": scores[row["prompt"][0]["content"]][0],
            "second": scores[row["prompt"][0]["content"]][1],
        }
        for row in run.request["cases"]
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "scores.jsonl").write_text(lines, encoding="utf-8")
    run.refresh_from_db()
    assert outcomes.record(run, attempt, Outcome(ending="done", results={"cases": len(rows)}))
    run.refresh_from_db()
    return run


def publish(project: Project, text: str, kind: str = Kind.COMPARISON) -> list[Run]:
    """Publish guidelines, let a minute go by, and return the runs that are there then."""
    collecting.publish_guideline(project, kind, text, project.created_by)
    driver.score_cases()
    return list(Run.objects.filter(stage="replay").order_by("id"))


def prompts_of(run: Run) -> list[str]:
    return [row["prompt"][0]["content"] for row in run.request["cases"]]


def test_the_newest_reward_model_scores_new_cases_by_itself(
    project: Project, model: Checkpoint
) -> None:
    (run,) = publish(project, TEXT)
    assert (run.reward_checkpoint, run.parent) == (model, model.parent)
    score(run, {"Rain.": (1.0, 0.5), "Snow.": (2.0, 1.0), "Fog.": (0.0, 0.0)})
    assert CaseScore.objects.count() == 3
    table = selectors.case_table(project, exports.guideline_cases(project, Kind.COMPARISON))
    rate = table.clauses[0].rates[0]
    assert (rate.count, rate.n) == (1, 2), "a tie is nothing that a score says"
    assert [line.case["prompt"][0]["content"] for line in table.conflicts] == ["Snow."]
    assert table.unscored == []
    more = write_case(Case("Hail.", "loud", "hard", "left"))
    _, again = publish(project, "# Rank\n\n" + more, Kind.RANKING)
    assert prompts_of(again) == ["Hail."]


def test_a_new_reward_model_is_asked_about_every_case_once(
    project: Project, model: Checkpoint
) -> None:
    publish(project, TEXT)
    newer = make_checkpoint(project, kind="reward", name="reward-2", parent=model.parent)
    driver.score_cases()
    run = Run.objects.get(stage="replay", reward_checkpoint=newer)
    assert prompts_of(run) == ["Rain.", "Snow.", "Fog."]
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    lifecycle.fail(run.pk, attempt, "No memory.")
    driver.score_cases()
    assert Run.objects.filter(stage="replay", reward_checkpoint=newer).count() == 1


def test_without_a_reward_model_publishing_starts_nothing(project: Project) -> None:
    assert publish(project, TEXT) == []
    table = selectors.case_table(project, exports.guideline_cases(project, Kind.COMPARISON))
    assert table.models == []
    assert table.clauses[0].rates == []


def test_nothing_is_scored_twice(project: Project, model: Checkpoint, alice: User) -> None:
    collecting.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    cases = exports.guideline_cases(project, Kind.COMPARISON)
    run = services.start_replay(project, cases, model, started_by=alice)
    with pytest.raises(ServiceError, match="every case"):
        services.start_replay(project, cases, model, started_by=alice)
    score(run, {"Rain.": (1, 0), "Snow.": (1, 0), "Fog.": (1, 0)})
    with pytest.raises(ServiceError, match="every case"):
        services.start_replay(project, cases, model, started_by=alice)
    with pytest.raises(ServiceError, match="no reward model"):
        services.start_replay(project, cases, make_checkpoint(project), started_by=alice)


def test_the_job_reads_the_cases(project: Project, model: Checkpoint, alice: User) -> None:
    collecting.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    cases = exports.guideline_cases(project, Kind.COMPARISON)
    run = services.start_replay(project, cases, model, started_by=alice)
    path = artifacts._rows_file(run, write=True)
    assert path is not None
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["texts"] for row in rows] == [[case.first, case.second] for case in CASES]


@pytest.mark.parametrize("username", ["alice", "eve", "carol", "bob", "charlie"])
def test_owners_and_engineers_see_the_scores(
    client: Client, project: Project, model: Checkpoint, alice: User, username: str
) -> None:
    collecting.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    client.force_login(User.objects.get(username=username))
    args = [project.pk, Kind.COMPARISON]
    may = username in ("alice", "eve")
    page = client.get(reverse("training:case_scores", args=args))
    assert page.status_code == (200 if may else 404)
    if may:
        assert "not scored" in page.text
    replay = reverse("training:replay_cases", args=args)
    assert client.post(replay, {"checkpoint": model.pk}).status_code == (302 if may else 404)
    assert client.post(replay, {"checkpoint": "x"}).status_code == 404
    assert client.get(replay).status_code == 405
    assert Run.objects.filter(stage="replay").count() == int(may)


def test_the_cases_of_ones_own_draft_are_scored_before_the_act(
    client: Client, project: Project, model: Checkpoint, alice: User
) -> None:
    collecting.save_guideline_draft(project, Kind.COMPARISON, TEXT, alice)
    client.force_login(alice)
    address = reverse("training:case_scores", args=[project.pk, Kind.COMPARISON])
    assert "There are no cases" in client.get(address).text
    assert "Let reward-1 score 3 cases" in client.get(address, {"draft": 1}).text
    replay = reverse("training:replay_cases", args=[project.pk, Kind.COMPARISON])
    client.post(replay, {"checkpoint": model.pk, "draft": 1})
    assert "Let reward-1" not in client.get(address, {"draft": 1}).text
    run = Run.objects.get(stage="replay")
    score(run, {"Rain.": (0, 1), "Snow.": (0, 1), "Fog.": (1, 0)})
    page = client.get(address, {"draft": 1}).text
    assert "reward-1 decides 1 case otherwise" in page
    assert "A − B −1.00" in page
    again = client.post(replay, {"checkpoint": model.pk, "draft": 1}, follow=True)
    assert "has scored every case" in again.text


def test_a_run_page_shows_a_replay(client: Client, project: Project, alice: User) -> None:
    run = make_run(project, "replay", request={"purpose": "replay", "cases": []})
    client.force_login(alice)
    assert client.get(reverse("training:run", args=[run.pk])).status_code == 200
    assert client.get(reverse("training:runs", args=[project.pk])).status_code == 200
