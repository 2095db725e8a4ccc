"""From an evaluation over the gate to a promotion, and the rounds that lead there."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    Item,
    Project,
    Retraction,
    User,
)
from annotations.tests.factories import make_demonstration, make_prompt
from training import lifecycle, selectors, services, tasks
from training.models import Checkpoint, Evaluation, Promotion, Round, Run
from training.services import ServiceError
from training.tests import scripted
from training.tests.factories import make_base, make_checkpoint, make_run, make_snapshot
from training.tests.test_services import NUMBERS, request, start


@pytest.fixture
def base(project: Project) -> Checkpoint:
    return make_base(project)


@pytest.fixture
def contest(project: Project, base: Checkpoint, alice: User) -> Evaluation:
    """Return an evaluation, without votes, of a child against the promoted checkpoint."""
    for number in range(60):
        make_prompt(project, text=f"held out {number}")
    parent = make_checkpoint(project)
    promote(parent, alice)
    return evaluate(project, make_checkpoint(project, parent=parent), parent)


def promote(checkpoint: Checkpoint, by: User, **options: Any) -> Promotion:
    return services.promote_checkpoint(
        checkpoint, promoted_by=by, **{"reason": "It writes well.", **options}
    )


def evaluate(project: Project, child: Checkpoint, parent: Checkpoint, **changes: Any) -> Evaluation:
    values = {"started_by": project.created_by, **changes}
    return services.start_evaluation(project, child=child, parent=parent, **values)


def judge(evaluation: Evaluation, voter: User, wins: int, losses: int, open_: int = 0) -> None:
    """Record votes on an evaluation's items as if somebody had submitted them."""
    for number in range(wins + losses + open_):
        prompt = make_prompt(evaluation.project, text=f"judged {evaluation.pk} {number}")
        child, parent = (
            Completion.objects.create(prompt=prompt, text=c.name, origin="checkpoint", checkpoint=c)
            for c in (evaluation.child, evaluation.parent)
        )
        is_open = number >= wins + losses
        item = Item.objects.create(
            project=evaluation.project,
            kind="comparison",
            prompt=prompt,
            purpose="evaluation",
            batch=evaluation.batch,
            open_slots=int(is_open),
        )
        if is_open:
            continue
        annotation = Annotation.objects.create(item=item, annotator=voter, kind="comparison")
        left, right = (child, parent) if number % 2 else (parent, child)
        winner = child if number < wins else parent
        Comparison.objects.create(
            annotation=annotation,
            left=left,
            right=right,
            outcome="left" if left == winner else "right",
        )


def answer(sample: Run, voter: User) -> int:
    """Record an annotation of what the run sampled; return its id."""
    prompt = make_prompt(sample.project, text=f"answered {next(NUMBERS)}")
    item = Item.objects.create(
        project=sample.project,
        kind="ranking",
        prompt=prompt,
        batch=sample.request["batch"],
        purpose="training",
    )
    return item.annotations.create(annotator=voter, kind="ranking").pk


# Evaluations


def test_it_evaluates_on_held_out_prompts_alone(project: Project, base: Checkpoint) -> None:
    held_out = [make_prompt(project, text=f"held out {n}") for n in range(60)]
    test_ids = [p.pk for p in held_out if p.split == "test"]
    child = make_checkpoint(project)
    evaluation = evaluate(project, child, base, limit=2)
    assert evaluation.run.request["prompt_ids"] == test_ids[:2]
    assert evaluation.batch == evaluation.run.request["batch"] == f"evaluation-{evaluation.run_id}"
    assert evaluation.run.config["completions_per_prompt"] == 1
    with pytest.raises(ServiceError, match="itself"):
        evaluate(project, child, child)
    with pytest.raises(ServiceError, match="held-out"):
        evaluate(project, child, base, split="train")


def test_the_best_of_n_needs_a_reward_model_to_choose(
    project: Project, base: Checkpoint, contest: Evaluation
) -> None:
    policy, reward = contest.child, make_checkpoint(project, kind="reward")
    best = {"best_of": 8}
    for ask in (
        lambda **more: request(project, checkpoint=policy, **more),
        lambda **more: evaluate(project, policy, contest.parent, **more).run,
    ):
        with pytest.raises(ServiceError, match=r"best of 8.*Choose a reward model"):
            ask(config=best)
        with pytest.raises(ServiceError, match="not a reward model"):
            ask(config=best, reward_checkpoint=policy)
        run = ask(config=best, reward_checkpoint=reward)
        assert (run.reward_checkpoint, run.config["best_of"]) == (reward, 8)
        assert ask(reward_checkpoint=reward).reward_checkpoint is None


def test_a_batch_counts_an_item_once_it_has_all_its_annotations(
    contest: Evaluation, bob: User, bea: User
) -> None:
    judge(contest, bob, wins=1, losses=0)
    item = Item.objects.get(batch=contest.batch)
    item.overlap = 2
    item.save()  # the second place is leased
    assert selectors.batch_progress(contest.project, contest.batch).answered == 0
    Annotation.objects.create(item=item, annotator=bea, kind="comparison")
    assert selectors.batch_progress(contest.project, contest.batch).answered == 1


def test_equal_texts_count_as_ties_that_nobody_judged(contest: Evaluation, bob: User) -> None:
    prompt = make_prompt(contest.project, text="Both wrote the same.")
    contest.run.results = {"equal_prompts": [prompt.pk, prompt.pk]}
    contest.run.save()
    judge(contest, bob, wins=0, losses=3)
    result = selectors.evaluation_result(contest)
    assert (result.n, result.losses, result.ties) == (5, 3, 2)
    assert selectors.certain(contest).equal_texts == 2
    assert "2 of them ties of equal texts" in selectors.gate_refusal(contest.child, contest)


def test_an_empty_answer_counts_as_lost_without_a_judge(contest: Evaluation, bob: User) -> None:
    prompt = make_prompt(contest.project, text="One of them said nothing.")
    sides = [contest.child_id, contest.child_id, contest.parent_id]
    contest.run.results = {"empty_answers": [[prompt.pk, side] for side in sides]}
    contest.run.save()
    judge(contest, bob, wins=2, losses=1)
    result = selectors.evaluation_result(contest)
    assert (result.n, result.wins, result.losses) == (6, 3, 3)
    assert selectors.certain(contest) == selectors.Certain(0, empty_won=1, empty_lost=2)
    assert "3 decided by an empty answer" in selectors.gate_refusal(contest.child, contest)


def test_an_evaluation_in_which_all_is_certain_waits_for_nobody(contest: Evaluation) -> None:
    prompts = [make_prompt(contest.project, text=f"Silence {n}.") for n in range(20)]
    contest.run.results = {"empty_answers": [[prompt.pk, contest.parent_id] for prompt in prompts]}
    contest.run.save()
    assert selectors.needs_nobody(contest)
    assert selectors.evaluation_result(contest).wins == 20
    assert selectors.gate_refusal(contest.child, contest) == ""


def test_what_is_certain_counts_with_the_first_vote(contest: Evaluation, bob: User) -> None:
    prompt = make_prompt(contest.project, text="Both wrote the same.")
    contest.run.results = {"equal_prompts": [prompt.pk], "empty_answers": [[prompt.pk, 0]]}
    contest.run.save()
    judge(contest, bob, wins=0, losses=0, open_=1)
    assert selectors.evaluation_result(contest).n == 0


def test_an_evaluation_without_votes_knows_nothing(contest: Evaluation) -> None:
    result = selectors.evaluation_result(contest)
    assert (result.n, result.low, result.high) == (0, 0.0, 1.0)


# The gate


def test_the_first_checkpoint_has_nothing_to_beat(project: Project, eve: User) -> None:
    checkpoint = make_checkpoint(project)
    promote(checkpoint, eve)
    assert selectors.promoted_checkpoint(project) == checkpoint
    with pytest.raises(ServiceError, match="already"):
        promote(checkpoint, eve)


def test_the_gate_opens_for_a_clear_win(contest: Evaluation, eve: User, bob: User) -> None:
    judge(contest, bob, wins=40, losses=10)
    promotion = promote(contest.child, eve, evaluation=contest)
    assert promotion.evidence["n"] == 50
    assert promotion.evidence["low"] > 0.5
    assert promotion.evidence["evaluation"] == contest.pk
    assert selectors.promoted_checkpoint(contest.project) == contest.child


@pytest.mark.parametrize(
    ("wins", "losses", "open_", "words"),
    [
        (26, 24, 0, "must lie above 50 %"),
        (10, 40, 0, "must lie above 50 %"),
        (28, 12, 10, "40 of 50"),
        (8, 0, 40, "8 of 48"),
        (0, 0, 0, "0 of 0"),
    ],
)
def test_the_gate_stays_closed(
    contest: Evaluation, eve: User, bob: User, wins: int, losses: int, open_: int, words: str
) -> None:
    judge(contest, bob, wins, losses, open_)
    with pytest.raises(ServiceError, match=words):
        promote(contest.child, eve, evaluation=contest)
    assert Promotion.objects.count() == 1


def test_the_gate_opens_early_for_what_looking_cannot_explain(
    contest: Evaluation, eve: User, bob: User
) -> None:
    judge(contest, bob, wins=9, losses=0, open_=40)
    promotion = promote(contest.child, eve, evaluation=contest)
    assert promotion.evidence["gate"]["n"] == 9
    assert promotion.evidence["gate"]["low"] > 0.5


def test_an_early_gate_counts_a_prompt_once_all_its_votes_are_in(
    contest: Evaluation, bob: User
) -> None:
    judge(contest, bob, wins=9, losses=0, open_=1)
    assert selectors.result_so_far(contest).n == 9
    prompt = Item.objects.filter(batch=contest.batch, open_slots=0).first().prompt
    Item.objects.filter(batch=contest.batch, open_slots=1).update(prompt=prompt)
    assert selectors.result_so_far(contest).n == 8
    assert selectors.gate_refusal(contest.child, contest) != ""


def test_empty_answers_of_the_parent_promote_nobody_before_the_first_vote(
    contest: Evaluation, bob: User
) -> None:
    prompts = [make_prompt(contest.project, text=f"Silence {n}.") for n in range(20)]
    contest.run.results = {"empty_answers": [[prompt.pk, contest.parent_id] for prompt in prompts]}
    contest.run.save()
    judge(contest, bob, wins=0, losses=0, open_=60)
    assert selectors.result_so_far(contest).n < 9
    assert selectors.gate_refusal(contest.child, contest) != ""


def test_the_gate_waits_for_what_was_taken_back_to_be_sent_again(
    contest: Evaluation, eve: User, bob: User
) -> None:
    judge(contest, bob, wins=25, losses=15)
    for annotation in Annotation.objects.order_by("id")[:5]:
        Retraction.objects.create(annotation=annotation)  # whose places their author holds again
    assert selectors.batch_progress(contest.project, contest.batch).answered == 35
    with pytest.raises(ServiceError, match="35 of 40"):
        promote(contest.child, eve, evaluation=contest)


def test_the_gate_asks_for_the_right_evaluation(
    contest: Evaluation, project: Project, eve: User, bob: User
) -> None:
    judge(contest, bob, 40, 10)
    with pytest.raises(ServiceError, match="needs a blind evaluation"):
        promote(contest.child, eve)
    with pytest.raises(ServiceError, match="evaluation is of"):
        promote(make_checkpoint(project), eve, evaluation=contest)
    promote(contest.child, eve, evaluation=contest)
    stale = evaluate(project, make_checkpoint(project), contest.parent)
    with pytest.raises(ServiceError, match="is promoted now"):
        promote(stale.child, eve, evaluation=stale)


def test_only_an_owner_overrides_and_the_record_says_so(
    contest: Evaluation, eve: User, alice: User
) -> None:
    with pytest.raises(ServiceError, match="owner"):
        promote(contest.child, eve, evaluation=contest, override=True)
    with pytest.raises(ServiceError, match="Say why"):
        promote(contest.child, alice, override=True, reason="  ")
    promotion = promote(contest.child, alice, evaluation=contest, override=True)
    assert "0 of 0" in promotion.evidence["overridden"]


def test_a_reward_model_is_never_promoted(project: Project, alice: User) -> None:
    with pytest.raises(ServiceError, match="reward model"):
        promote(make_checkpoint(project, kind="reward"), alice, override=True)


# Rounds


def test_a_round_gathers_what_is_made_in_it(
    contest: Evaluation, project: Project, eve: User, bob: User
) -> None:
    policy = contest.parent
    opened = services.open_round(project)
    assert services.open_round(project) == opened
    assert (opened.number, opened.policy) == (1, policy)
    sample = request(project, checkpoint=policy)
    judged = make_snapshot(project, "preferences", annotation_ids=[answer(sample, bob)])
    reward_run = start(project, "reward", parent=policy, snapshot=judged)
    reward = make_checkpoint(project, kind="reward")
    policy_run = start(project, "ppo", parent=policy, reward_checkpoint=reward)
    child = make_checkpoint(project, parent=policy, run=policy_run)
    evaluation = evaluate(project, child, policy)
    opened.refresh_from_db()
    assert opened.sample_run == sample
    assert (opened.reward_run, opened.policy_run) == (reward_run, policy_run)
    assert opened.evaluation == evaluation
    judge(evaluation, bob, 40, 10)
    promotion = promote(child, eve, evaluation=evaluation)
    opened.refresh_from_db()
    assert opened.promotion == promotion
    assert opened.ended_at is not None
    assert child.name in opened.decision
    assert services.open_round(project).number == 2


def test_a_round_goes_on_with_a_policy_that_needs_no_reward_model(
    contest: Evaluation, project: Project, eve: User, bob: User
) -> None:
    policy = contest.parent
    opened = services.open_round(project)
    sample = request(project, checkpoint=policy)
    Run.objects.filter(id=sample.pk).update(state="succeeded", ended_at=Now())
    judged = make_snapshot(project, "preferences", annotation_ids=[answer(sample, bob)])
    start(project, "dpo", parent=policy)  # learns from what this round did not judge
    opened.refresh_from_db()
    assert opened.policy_run is None
    run = start(project, "dpo", parent=policy, snapshot=judged)
    opened.refresh_from_db()
    assert opened.policy_run == run
    steps = {step.name: step for step in selectors.loop_status(project, eve)}
    assert steps["reward"].state == "done"
    assert "needs none" in steps["reward"].note
    Run.objects.filter(id=run.pk).update(state="failed", error="No.", ended_at=Now())
    steps = {step.name: step for step in selectors.loop_status(project, eve)}
    assert steps["comparisons"].state == "current"


def test_what_is_tried_beside_a_round_does_not_push_it_on(
    contest: Evaluation, project: Project, bob: User
) -> None:
    before = request(project, checkpoint=contest.parent)
    opened = services.open_round(project)
    request(project, checkpoint=contest.parent)
    other = make_snapshot(project, "preferences", annotation_ids=[answer(before, bob)])
    start(project, "reward", parent=contest.parent, snapshot=other)
    reward = make_checkpoint(project, kind="reward")
    start(project, "ppo", parent=contest.child, reward_checkpoint=reward)
    evaluate(project, contest.child, contest.parent)
    opened.refresh_from_db()
    assert (opened.reward_run, opened.policy_run, opened.evaluation) == (None, None, None)
    assert selectors.loop_status(project, bob)[1].name == "prompts"


def test_a_reward_run_that_failed_steps_back_behind_one_that_worked(
    contest: Evaluation, project: Project, bob: User
) -> None:
    services.open_round(project)
    sample = request(project, checkpoint=contest.parent)
    judged = make_snapshot(project, "preferences", annotation_ids=[answer(sample, bob)])
    worked, failed = (start(project, "reward", snapshot=judged) for _ in range(2))
    Run.objects.filter(id=worked.pk).update(state="succeeded", ended_at=Now())
    assert selectors.open_round(project).reward_run == failed
    Run.objects.filter(id=failed.pk).update(state="failed", error="NaN.", ended_at=Now())
    assert selectors.open_round(project).reward_run == worked
    assert services.close_round(project, decision="Enough.").reward_run == worked


def test_a_promotion_names_the_evaluation_that_decided(
    contest: Evaluation, project: Project, alice: User, bob: User
) -> None:
    opened = services.open_round(project)
    judge(contest, bob, 40, 10)
    promote(contest.child, alice, evaluation=contest)
    opened.refresh_from_db()
    assert opened.evaluation == contest


def test_a_round_can_end_without_a_promotion(contest: Evaluation, project: Project) -> None:
    with pytest.raises(ServiceError, match="No round"):
        services.close_round(project, decision="x")
    services.open_round(project)
    assert services.close_round(project, decision="No better.").decision == "No better."
    assert Round.objects.filter(ended_at=None).count() == 0


def test_a_round_needs_a_promoted_checkpoint(project: Project) -> None:
    with pytest.raises(ServiceError, match="promote"):
        services.open_round(project)


# The loop


def test_the_pages_of_the_loop_know_what_is_next(
    project: Project, alice: User, bob: User, settings: Any
) -> None:
    settings.TRAINING_COMMAND = scripted.command("works")

    def current() -> selectors.Step:
        steps = selectors.loop_status(project, alice)
        assert [s.name for s in steps] == list(selectors.TITLES)
        return next(s for s in steps if s.state in ("current", "failed"))

    def carry_out(run: Run) -> Run:
        assert current().state == "current"
        tasks.execute_run(run.pk)
        run.refresh_from_db()
        assert run.state == Run.State.SUCCEEDED, run.error
        return run

    def shows(name: str, label: str) -> None:
        step = current()
        assert step.name == name
        assert step.next_action is not None
        assert label in step.next_action.label

    for number in range(60):
        make_prompt(project, text=f"prompt {number}")
    shows("start", "Register")
    base = make_base(project)
    shows("start", "Write demonstrations")
    make_demonstration(project, bob)
    shows("start", "Freeze demonstrations")
    run = start(project, parent=base)
    shows("start", "Watch")
    sft = carry_out(run).checkpoint
    shows("start", "Promote")
    promote(sft, alice)
    shows("prompts", "Open the next round")
    services.open_round(project)
    shows("prompts", "Ask for completions")
    run = request(project, checkpoint=sft, kind="comparison", completions_per_prompt=2)
    carry_out(run)
    shows("comparisons", "Label")
    Item.objects.filter(batch=f"run-{run.pk}").update(open_slots=0)
    for item in Item.objects.filter(batch=f"run-{run.pk}"):
        item.annotations.create(annotator=bob, kind="comparison")
    shows("reward", "Freeze preferences")
    judged = make_snapshot(
        project, "preferences", annotation_ids=[Annotation.objects.latest("id").pk]
    )
    shows("reward", "Start a reward model")
    reward = carry_out(start(project, "reward", parent=sft, snapshot=judged)).checkpoint
    shows("policy", "Freeze prompts")
    ppo = start(project, "ppo", parent=sft, reward_checkpoint=reward)
    child = carry_out(ppo).checkpoint
    shows("evaluation", "Compare")
    evaluation = evaluate(project, child, sft)
    carry_out(evaluation.run)
    shows("evaluation", "Label")
    Item.objects.filter(batch=evaluation.batch).delete()
    judge(evaluation, bob, 40, 10)
    shows("promotion", "Promote")
    promote(child, alice, evaluation=evaluation)
    shows("prompts", "Open the next round")


def test_a_failed_run_is_shown_with_its_reason(project: Project, alice: User) -> None:
    run = make_run(project)
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    lifecycle.fail(run.pk, attempt, "The loss is NaN.")
    step = selectors.loop_status(project, alice)[0]
    assert (step.state, step.note) == ("failed", "The loss is NaN.")


def test_the_loop_says_when_a_reward_model_did_not_wait_for_all(
    project: Project, base: Checkpoint, alice: User, bob: User, settings: Any
) -> None:
    settings.TRAINING_COMMAND = scripted.command("works")
    promote(base, alice)
    services.open_round(project)
    for number in range(3):
        make_prompt(project, text=f"prompt {number}")
    sample = request(project, kind="comparison", completions_per_prompt=2)
    tasks.execute_run(sample.pk)
    start(
        project,
        "reward",
        snapshot=make_snapshot(project, "preferences", annotation_ids=[answer(sample, bob)]),
    )
    step = next(s for s in selectors.loop_status(project, alice) if s.name == "comparisons")
    assert step.state == "done"
    assert "before all were in" in step.note
