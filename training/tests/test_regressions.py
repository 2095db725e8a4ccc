"""From a reported answer to a checkpoint that gives it no more, and what blocks one that does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from annotations import exports, queue
from annotations import services as collecting
from annotations.models import Item, Kind, Project, Ticket, User
from annotations.tests.factories import make_completion, make_prompt_in
from training import artifacts, lifecycle, outcomes, selectors, services
from training.models import Checkpoint, Evaluation, RegressionResult, Run, SnapshotAnnotation
from training.regressions import CaseResult, record_results
from training.services import ServiceError
from training.supervisor import Outcome
from training.tests.factories import make_base, make_checkpoint, make_run, make_snapshot

SIDE = {"value": 1.0, "low": 0.5, "high": 1.5}
MEASURED = {"table": {"tokens": {"child": SIDE, "parent": SIDE, "difference": SIDE}}, "answers": 2}
FROGS = {"kind": "pattern", "parameters": {"pattern": "frogs frogs"}}


@pytest.fixture
def parent(project: Project, alice: User) -> Checkpoint:
    make_base(project)
    parent = make_checkpoint(project, name="parent")
    services.promote_checkpoint(parent, promoted_by=alice, reason="The first.")
    return parent


@pytest.fixture
def ticket(project: Project, parent: Checkpoint, bob: User) -> Ticket:
    """A ticket about an answer of the parent, whose rewrite is there."""
    return rewritten_ticket(project, parent, bob, **FROGS)


def rewritten_ticket(project: Project, by: Checkpoint, bob: User, **check: Any) -> Ticket:
    prompt = make_prompt_in(project, "train")
    completion = make_completion(prompt, "frogs frogs", checkpoint_id=by.pk)
    ticket = collecting.report(completion, bob, "repeats", source="queue")
    collecting.ask_for_rewrite(ticket, project.created_by, **check)
    assignment = queue.lease_next(bob, project, Kind.REWRITE)
    assert assignment is not None
    collecting.submit_rewrite(assignment, "one frog")
    return Ticket.objects.get(id=ticket.pk)


def measure(run: Run, child: str, parent: str) -> Run:
    """Let a suite's child process answer every case with a text for each side, and end."""
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    folder = artifacts.output_folder(run)
    folder.mkdir(parents=True)
    rows = [
        {"prompt_id": case["prompt_id"], "source": source, "text": text, "sampling": {}}
        for case in run.request["cases"]
        for source, text in (("policy", child), ("rival", parent))
        for _ in range(case["answers"])
    ]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert outcomes.record(run, attempt, Outcome(ending="done", results={"prompts": 1}))
    run.refresh_from_db()
    return run


def answer(run: Run, text: str, **more: Any) -> Run:
    """Let a run's child answer every prompt with a text, and record how the run ended."""
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    folder = artifacts.output_folder(run)
    folder.mkdir(parents=True)
    rows = [
        {"prompt_id": prompt, "source": "policy", "text": text, "sampling": {"score": 1.0}, **more}
        for prompt in run.request["prompt_ids"]
        for _ in range(run.config["completions_per_prompt"])
    ]
    (folder / "completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.refresh_from_db()
    assert outcomes.record(run, attempt, Outcome(ending="done", results={"completions": len(rows)}))
    run.refresh_from_db()
    return run


def tried(checkpoint: Checkpoint, text: str, by: User) -> Run:
    return answer(services.start_regressions(checkpoint, started_by=by), text)


def child_of(parent: Checkpoint, name: str) -> tuple[Checkpoint, Evaluation]:
    """Return a child that beat its parent on thirty prompts, because that answered none."""
    child = make_checkpoint(parent.project, name=name, parent=parent)
    run = make_run(parent.project, "sample", parent=child)
    run.results = {"empty_answers": [[number, parent.pk] for number in range(30)]}
    run.save(update_fields=["results"])
    evaluation = Evaluation.objects.create(
        project=parent.project, child=child, parent=parent, run=run, batch=f"evaluation-{run.pk}"
    )
    return child, evaluation


def test_from_the_report_to_closed_and_back(
    project: Project, parent: Checkpoint, ticket: Ticket, alice: User, eve: User
) -> None:
    """The whole way: the fault, the data, a child that has mastered it, and one that has not."""
    assert tried(parent, "frogs frogs", eve).results["cases_failed"] == 1
    ticket.refresh_from_db()
    assert ticket.state == "rewritten"

    child, evaluation = child_of(parent, "child")
    refusal = selectors.gate_refusal(child, evaluation)
    assert refusal == (
        f"Ticket {ticket.pk} (repeats itself) was not tried on child. Run the regression cases "
        "first."
    )
    with pytest.raises(ServiceError, match="was not tried on child"):
        services.promote_checkpoint(child, promoted_by=eve, reason="Better.", evaluation=evaluation)
    assert tried(child, "one pond", eve).results["cases_passed"] == 1
    ticket.refresh_from_db()
    assert ticket.state == "rewritten"  # not before it is promoted
    services.promote_checkpoint(child, promoted_by=eve, reason="Better.", evaluation=evaluation)
    ticket.refresh_from_db()
    assert (ticket.state, ticket.fixed_by) == ("fixed", child)

    grandchild, evaluation = child_of(child, "grandchild")
    tried(grandchild, "Frogs frogs!", eve)
    refusal = selectors.gate_refusal(grandchild, evaluation)
    assert f"Ticket {ticket.pk} (repeats itself) fails again: 4 of 4 answers fail" in refusal
    with pytest.raises(ServiceError, match=rf"Ticket {ticket.pk} \(repeats itself\) fails again"):
        services.promote_checkpoint(
            grandchild, promoted_by=eve, reason="Better.", evaluation=evaluation
        )
    # An owner may: then the fault is there again, and the ticket says so.
    services.promote_checkpoint(
        grandchild, promoted_by=alice, reason="We must.", evaluation=evaluation, override=True
    )
    ticket.refresh_from_db()
    assert (ticket.state, ticket.fixed_by) == ("rewritten", None)
    names = list(ticket.events.values_list("name", flat=True))
    assert names == ["opened", "sent", "rewritten", "fixed", "came_back"]


def test_a_fault_that_nobody_has_mastered_keeps_nobody_back(
    project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    child, evaluation = child_of(parent, "child")
    tried(child, "frogs frogs", eve)
    assert selectors.regressions_failed(child) == []
    assert selectors.gate_refusal(child, evaluation) == ""


def test_the_ticket_closes_when_results_come_in_for_the_promoted_checkpoint(
    project: Project, parent: Checkpoint, ticket: Ticket
) -> None:
    (case,) = selectors.regression_cases(project)
    record_results(parent, [CaseResult(case["case_id"], 1, True, "passed")], None)
    ticket.refresh_from_db()
    assert (ticket.state, ticket.fixed_by) == ("fixed", parent)


def test_a_changed_check_wants_another_try(
    project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    tried(parent, "one pond", eve)
    assert selectors.regressions_failed(parent) == []
    collecting.change_check(ticket, eve, **FROGS, answers=1)
    assert "was not tried" in selectors.regressions_failed(parent)[0]
    run = tried(parent, "one pond", eve)
    assert run.config["completions_per_prompt"] == 1
    assert selectors.regressions_failed(parent) == []


def test_the_reward_model_decides_by_the_scores_of_one_run(
    project: Project, parent: Checkpoint, bob: User, eve: User
) -> None:
    check = {"kind": "reward", "parameters": {"margin": 0.0}}
    ticket = rewritten_ticket(project, parent, bob, **check)
    with pytest.raises(ServiceError, match="decided by a reward model, and there is none"):
        services.start_regressions(parent, started_by=eve)
    assert "with a reward model of the same base" in selectors.regressions_failed(parent)[0]
    reward = make_checkpoint(project, kind="reward", name="judge")
    run = services.start_regressions(parent, started_by=eve)
    assert run.reward_checkpoint == reward
    job = artifacts.job_for(run)
    (prompt,) = map(json.loads, Path(str(job.data_path)).read_text().splitlines())
    case_id = str(ticket.case.pk)
    assert prompt["references"] == {case_id: ["frogs frogs", "one frog"]}
    answer(run, "a pond", references={case_id: [-1.0, 2.0]})
    result = RegressionResult.objects.get()
    assert result.text == "4 of 4 answers fail: the reward model prefers the rewrite by 1.00."
    assert result.answers == ["a pond"] * 4


def test_it_refuses_what_cannot_be_tried(project: Project, parent: Checkpoint, eve: User) -> None:
    with pytest.raises(ServiceError, match="no regression cases yet"):
        services.start_regressions(parent, started_by=eve)
    judge = make_checkpoint(project, kind="reward", name="judge")
    with pytest.raises(ServiceError, match="is a reward model"):
        services.start_regressions(judge, started_by=eve)


def test_a_run_on_cases_makes_no_work_and_is_in_no_round(
    project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    opened = services.open_round(project)
    items = Item.objects.count()
    tried(parent, "one pond", eve)
    opened.refresh_from_db()
    assert opened.sample_run is None
    assert Item.objects.count() == items


def test_an_evaluation_tries_the_child_on_the_cases_unless_that_is_seen_to(
    project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    make_prompt_in(project, "test")
    child = make_checkpoint(project, name="child", parent=parent)
    for _ in range(2):
        services.start_evaluation(project, child=child, parent=parent, started_by=eve)
        assert Run.objects.get(request__kind="regression").parent == child
    other = make_checkpoint(project, name="other", parent=parent)
    services.start_suite(project, child=other, parent=parent, started_by=eve)
    services.start_evaluation(project, child=other, parent=parent, started_by=eve)
    assert not Run.objects.filter(parent=other, request__kind="regression").exists()


def test_a_suite_tries_both_on_the_cases(
    client: Client, project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    """What it found counts at the gate as a run of the cases alone does; the newest counts."""
    make_prompt_in(project, "test")
    child, evaluation = child_of(parent, "child")
    run = services.start_suite(project, child=child, parent=parent, started_by=eve)
    cases = artifacts.job_for(run).cases
    assert cases is not None
    assert (cases.answers, cases.max_new_tokens) == (4, 48)
    (prompt,) = map(json.loads, Path(cases.path).read_text().splitlines())
    assert prompt["prompt_id"] == ticket.completion.prompt_id
    assert prompt["prompt_id"] not in run.request["prompt_ids"]
    measure(run, "frogs frogs", "one <b>pond</b>")
    assert run.results == {"prompts": 1, "cases_passed": 0, "cases_failed": 1}
    ticket.refresh_from_db()
    assert (ticket.state, ticket.fixed_by) == ("fixed", parent)
    assert "fails again: 4 of 4 answers fail" in selectors.gate_refusal(child, evaluation)
    tried(child, "one pond", eve)
    assert selectors.gate_refusal(child, evaluation) == ""
    client.force_login(eve)
    Run.objects.filter(id=run.pk).update(results=run.results | MEASURED)
    page = client.get(reverse("training:suite", args=[run.pk])).text
    assert page.count("frogs frogs</p>") == page.count("one &lt;b&gt;pond&lt;/b&gt;</p>") == 4
    assert "0 of 1" in page
    assert reverse("annotations:ticket", args=[ticket.pk]) in page


def test_a_suite_without_a_reward_model_leaves_out_what_one_decides(
    project: Project, parent: Checkpoint, bob: User, eve: User
) -> None:
    rewritten_ticket(project, parent, bob, kind="reward", parameters={"margin": 0.0})
    make_prompt_in(project, "test")
    child = make_checkpoint(project, name="child", parent=parent)
    judge = make_checkpoint(project, kind="reward", name="judge")
    for scorer, asked in ((None, 0), (judge, 1)):
        run = services.start_suite(
            project, child=child, parent=parent, reward_checkpoint=scorer, started_by=eve
        )
        assert len(run.request.get("cases", [])) == asked
        assert (artifacts.job_for(run).cases is not None) == bool(asked)


def test_a_rollback_closes_the_tickets_that_the_earlier_one_had_mastered(
    project: Project, parent: Checkpoint, ticket: Ticket, alice: User
) -> None:
    (case,) = selectors.regression_cases(project)
    record_results(parent, [CaseResult(case["case_id"], 1, True, "passed")], None)
    child, _ = child_of(parent, "child")
    record_results(child, [CaseResult(case["case_id"], 1, False, "failed")], None)
    services.promote_checkpoint(child, promoted_by=alice, reason="We must.", override=True)
    ticket.refresh_from_db()
    assert ticket.state == "rewritten"
    services.demote(project, demoted_by=alice, reason="It is back.")
    ticket.refresh_from_db()
    assert (ticket.state, ticket.fixed_by) == ("fixed", parent)


def test_a_result_is_recorded_once_per_run(
    project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    run = tried(parent, "one pond", eve)
    (case,) = selectors.regression_cases(project)
    with pytest.raises(IntegrityError), transaction.atomic():
        record_results(parent, [CaseResult(case["case_id"], 1, False, "no")], run)


def test_the_way_of_a_ticket_leads_from_its_rewrite_to_a_checkpoint(
    client: Client, project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    rewrite = exports.rewrite_of(ticket)
    assert rewrite is not None
    make_snapshot(project)
    snapshot = make_snapshot(project)
    SnapshotAnnotation.objects.create(snapshot=snapshot, annotation_id=rewrite.annotation_id)
    child = make_checkpoint(project, name="child", run=make_run(project, "sft", snapshot=snapshot))
    tried(child, "<b>one pond</b>", eve)
    way = selectors.ticket_way(ticket)
    assert (way.snapshots, [run.checkpoint for run in way.runs]) == ([snapshot], [child])
    assert [result.passed for result in way.results] == [True]
    client.force_login(eve)
    page = client.get(reverse("training:ticket_way", args=[ticket.pk])).text
    assert reverse("training:snapshot", args=[snapshot.pk]) in page
    assert "&lt;b&gt;one pond" in page
    for name, pk in [("checkpoint", child.pk), ("run", child.regression_results.get().run_id)]:
        assert client.get(reverse(f"training:{name}", args=[pk])).status_code == 200


def test_an_engineer_runs_the_cases_from_the_page(
    client: Client, project: Project, parent: Checkpoint, ticket: Ticket, eve: User
) -> None:
    client.force_login(eve)
    page = reverse("training:checkpoint", args=[parent.pk])
    assert "not tried" in client.get(page).text
    response = client.post(reverse("training:start_regressions", args=[parent.pk]))
    run = Run.objects.get(request__kind="regression")
    assert response.url == reverse("training:run", args=[run.pk])
    assert client.get(response.url).status_code == 200
    answer(run, "frogs frogs")
    assert "not fixed yet" in client.get(page).text


@pytest.mark.parametrize("name", ["bob", "carol", "charlie"])
def test_regressions_do_not_exist_for_other_roles(
    client: Client, project: Project, parent: Checkpoint, ticket: Ticket, name: str
) -> None:
    client.force_login(User.objects.get(username=name))
    start = reverse("training:start_regressions", args=[parent.pk])
    assert client.post(start).status_code == 404
    assert client.get(reverse("training:ticket_way", args=[ticket.pk])).status_code == 404
    client.force_login(project.created_by)
    assert client.get(start).status_code == 405


def test_the_number_of_queries_does_not_grow_with_the_cases(
    project: Project, parent: Checkpoint, bob: User, django_assert_num_queries: Any
) -> None:
    for number in range(1, 3):
        ticket = rewritten_ticket(project, parent, bob, **FROGS)
        with django_assert_num_queries(5):  # results, cases, recalls, rewrites, reviews
            found = selectors.checked_cases(parent)
        assert len(found) == number
    assert found[-1].case["rewrite"] == "one frog"
    assert found[-1].case["ticket_id"] == ticket.pk
