"""The run pages: start one from a form, watch it, cancel it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.models import Project, User
from training.models import Checkpoint, Evaluation, Metric, Run
from training.pipeline.config import SFTConfig
from training.tests.factories import (
    make_base,
    make_checkpoint,
    make_run,
    make_snapshot,
    of_known_size,
)


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def ended(state: str, **changes: Any) -> dict[str, Any]:
    return {"state": state, "started_at": timezone.now(), "ended_at": timezone.now(), **changes}


def sft_data(project: Project, **changes: Any) -> dict[str, Any]:
    values = {k: v for k, v in SFTConfig().to_dict().items() if k != "stage"}
    snapshot = make_snapshot(project)
    return {"parent": make_base(project).pk, "snapshot": snapshot.pk, **values, **changes}


def test_it_says_above_the_results_that_the_run_stopped_itself(
    engineer: Client, project: Project
) -> None:
    why = "The run stopped itself at step 9 of 40: its KL to the reference reached 21.3 nats."
    results = {"kl": 6.5, "score_after": 1.5, "stopped_early": why, "published_step": 5}
    samples = [{"prompt": "rain", "before": "one", "after": "two", "slid": "rain rain rain"}]
    run = make_run(project, "ppo", **ended("succeeded", results=results, samples=samples))
    page = text_of(engineer.get(url("run", run.pk)))
    assert (
        page.index("The run stopped itself</h2>") < page.index(why) < page.index("<h2>Results</h2>")
    )
    assert page.count(why) == 1
    assert "the policy of this step" in page
    assert "rain rain rain" in page
    assert "when it was stopped" in page


def test_it_starts_a_run(engineer: Client, project: Project, eve: User) -> None:
    data = sft_data(project, epochs="2")
    response = engineer.post(url("new_run", project.pk) + "?stage=sft", data)
    run = Run.objects.get()
    assert response.headers["Location"] == url("run", run.pk)
    assert (run.stage, run.config["epochs"], run.started_by) == ("sft", 2.0, eve)


def test_it_shows_a_refusal_beside_the_field_and_keeps_what_was_typed(
    engineer: Client, project: Project
) -> None:
    data = sft_data(project, learning_rate="1e9", epochs="2.5")
    response = engineer.post(url("new_run", project.pk) + "?stage=sft", data)
    assert response.status_code == 422
    page = text_of(response)
    field = page[page.index('id="id_learning_rate"') :]
    assert "choose a value from 1e-08 to 0.01" in field[: field.index("id_batch_size")]
    assert 'value="1e9"' in page
    assert 'value="2.5"' in page
    assert not Run.objects.exists()


def test_it_shows_why_a_snapshot_is_too_small(engineer: Client, project: Project) -> None:
    small = make_snapshot(project, counts={"rows": {"train": 3, "validation": 0, "test": 0}})
    response = engineer.post(
        url("new_run", project.pk) + "?stage=sft", sft_data(project, snapshot=small.pk)
    )
    assert response.status_code == 422
    assert "needs at least 8" in text_of(response)
    assert not Run.objects.exists()


def test_it_tells_what_a_run_needs_before_it_starts(engineer: Client, project: Project) -> None:
    sized = of_known_size(project)
    data = sft_data(project, parent=sized.pk)
    form = engineer.get(url("new_run", project.pk) + f"?stage=sft&parent={sized.pk}")
    asked = engineer.post(url("estimate_run", project.pk) + "?stage=sft", data)
    again = engineer.post(url("new_run", project.pk) + "?stage=sft", data | {"estimate": "1"})
    for page in map(text_of, (form, asked, again)):
        assert "At its peak about <strong>0.6 GB</strong>" in page
        assert "are free on the disk" in page
    assert not Run.objects.exists()


def test_it_refuses_before_the_start_what_could_not_work(
    engineer: Client, project: Project
) -> None:
    data = sft_data(project, parent=of_known_size(project).pk, lora_targets="c_attn")
    words = "c_attn matches nothing"
    estimate = engineer.post(url("estimate_run", project.pk) + "?stage=sft", data)
    assert words in text_of(estimate)
    response = engineer.post(url("new_run", project.pk) + "?stage=sft", data)
    assert response.status_code == 422
    assert words in text_of(response)
    assert not Run.objects.exists()


def test_it_reckons_nothing_for_a_form_that_cannot_work(engineer: Client, project: Project) -> None:
    data = sft_data(project, epochs="x")
    page = text_of(engineer.post(url("estimate_run", project.pk) + "?stage=sft", data))
    assert "as soon as everything above has a value" in page


def test_it_estimates_only_for_who_trains(client: Client, project: Project, bob: User) -> None:
    address = url("estimate_run", project.pk) + "?stage=sft"
    client.force_login(bob)
    assert client.post(address, sft_data(project)).status_code == 404
    assert client.get(address).status_code == 405


def test_it_knows_no_form_for_sampling(engineer: Client, project: Project) -> None:
    assert engineer.get(url("new_run", project.pk) + "?stage=sample").status_code == 404
    assert engineer.get(url("new_run", project.pk) + "?stage=x").status_code == 404


def test_it_fills_the_form_from_a_preset(engineer: Client, project: Project) -> None:
    response = engineer.get(url("new_run", project.pk) + "?stage=ppo&preset=quick")
    assert response.context["form"]["steps"].value() == 10


def test_it_fills_the_form_from_an_earlier_run(engineer: Client, project: Project) -> None:
    run = make_run(project, config={**SFTConfig(epochs=7.0).to_dict()})
    response = engineer.get(url("new_run", project.pk) + f"?stage=sft&from={run.pk}")
    form = response.context["form"]
    assert form["epochs"].value() == 7.0
    assert form["snapshot"].value() == run.snapshot_id


def test_it_ignores_another_projects_run_as_a_template(
    engineer: Client, project: Project, charlie: User
) -> None:
    other = Project.objects.create(name="Other", created_by=charlie)
    run = make_run(other, config=SFTConfig(epochs=7.0).to_dict())
    response = engineer.get(url("new_run", project.pk) + f"?stage=sft&from={run.pk}")
    assert response.context["form"]["epochs"].value() == 3.0


def test_it_leads_to_freezing_when_there_is_no_snapshot(engineer: Client, project: Project) -> None:
    page = text_of(engineer.get(url("new_run", project.pk) + "?stage=reward"))
    assert url("snapshots", project.pk) + "?content=preferences" in page


def test_it_cancels_a_queued_run(engineer: Client, project: Project) -> None:
    run = make_run(project)
    response = engineer.post(url("cancel_run", run.pk))
    run.refresh_from_db()
    assert run.state == Run.State.CANCELLED
    assert response.headers["Location"] == url("run", run.pk)


def test_it_asks_a_running_run_to_stop_and_says_so(engineer: Client, project: Project) -> None:
    run = make_run(project, state="running", attempt=1, started_at=timezone.now())
    engineer.post(url("cancel_run", run.pk))
    page = text_of(engineer.get(url("run", run.pk)))
    assert "stops within seconds" in page
    assert 'id="cancel-button"' not in page


@pytest.mark.parametrize("state", ["queued", "running"])
def test_it_asks_again_while_the_run_is_alive(
    engineer: Client, project: Project, state: str
) -> None:
    run = make_run(project, state=state, started_at=timezone.now())
    page = text_of(engineer.get(url("run", run.pk)))
    assert f'hx-get="{url("run_status", run.pk)}"' in page
    assert 'hx-trigger="every 2s"' in page
    assert '<noscript><meta http-equiv="refresh"' in page


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_it_stops_asking_once_the_run_has_ended(
    engineer: Client, project: Project, state: str
) -> None:
    run = make_run(project, **ended(state, error="x" if state == "failed" else ""))
    for name in ("run", "run_status"):
        page = text_of(engineer.get(url(name, run.pk)))
        assert "hx-trigger" not in page
        assert 'http-equiv="refresh"' not in page


def test_it_answers_nothing_new_until_something_changes(engineer: Client, project: Project) -> None:
    run = make_run(
        project, state="running", started_at=timezone.now(), total_steps=10, phase_unit="step"
    )
    first = text_of(engineer.get(url("run_status", run.pk)))
    found = re.search(r'"seen": "(\w+)"', first)
    assert found
    status = url("run_status", run.pk) + f"?seen={found[1]}"
    assert engineer.get(status).status_code == 204
    Run.objects.filter(id=run.pk).update(step=3)
    changed = engineer.get(status)
    assert changed.status_code == 200
    assert "step 3 of 10" in text_of(changed)


def test_it_says_how_far_a_phase_between_the_steps_is(engineer: Client, project: Project) -> None:
    run = make_run(
        project,
        state="running",
        started_at=timezone.now(),
        total_steps=4,
        step=4,
        phase="writing samples",
        phase_unit="token",
        phase_done=12,
        phase_total=48,
    )
    page = text_of(engineer.get(url("run", run.pk)))
    assert "writing samples, token 12 of 48" in page
    assert 'value="0.2500"' in page
    assert " left</span>" not in page
    Run.objects.filter(id=run.pk).update(phase="evaluating", phase_unit="")
    page = text_of(engineer.get(url("run", run.pk)))
    assert "evaluating</span>" in page
    assert "<progress" in page
    assert 'max="1"' not in page


def test_it_hands_out_the_last_fragment_when_the_run_ends_between_two_questions(
    engineer: Client, project: Project
) -> None:
    run = make_run(project, state="running", started_at=timezone.now())
    found = re.search(r'"seen": "(\w+)"', text_of(engineer.get(url("run_status", run.pk))))
    assert found
    Run.objects.filter(id=run.pk).update(state="cancelled", ended_at=timezone.now())
    last = engineer.get(url("run_status", run.pk) + f"?seen={found[1]}")
    assert last.status_code == 200
    assert "hx-trigger" not in text_of(last)


def test_it_draws_the_curves_of_the_stage_and_of_unknown_metrics(
    engineer: Client, project: Project
) -> None:
    run = make_run(project, state="running", started_at=timezone.now())
    for name in ("loss", "eval_loss", "surprise"):
        for step in range(3):
            Metric.objects.create(run=run, name=name, step=step, value=step / 2)
    page = text_of(engineer.get(url("run", run.pk)))
    assert page.count('<svg class="chart"') == 2
    assert "<strong>Surprise</strong>" in page
    assert "held out: 3 points" in page


def test_it_says_what_happened_and_what_to_do(engineer: Client, project: Project) -> None:
    error = "The loss is not a number. Lower the learning rate and start again."
    run = make_run(project, **ended("failed", error=error, error_detail="Traceback <b>"))
    page = text_of(engineer.get(url("run", run.pk)))
    assert error in page
    assert "Traceback &lt;b&gt;" in page
    assert f"?stage=sft&amp;from={run.pk}" in page


def test_a_failed_run_offers_the_form_with_the_cure(engineer: Client, project: Project) -> None:
    remedy = {"micro_batch_size": 4, "gradient_checkpointing": True}
    run = make_run(project, **ended("failed", error="Out of memory.", remedy=remedy))
    page = text_of(engineer.get(url("run", run.pk)))
    assert "Start again with Micro batch size 4 and Gradient checkpointing on" in page
    form = engineer.get(url("new_run", project.pk) + f"?stage=sft&from={run.pk}&mended=1")
    assert form.context["form"]["micro_batch_size"].value() == 4
    assert form.context["form"]["gradient_checkpointing"].value() is True
    assert "changed so that it does not fail again" in text_of(form)
    plain = engineer.get(url("new_run", project.pk) + f"?stage=sft&from={run.pk}")
    assert plain.context["form"]["micro_batch_size"].value() == 0


def test_it_shows_samples_and_log_as_text(engineer: Client, project: Project) -> None:
    nasty = "<script>alert(1)</script>"
    samples = [{"prompt": nasty, "before": nasty, "after": nasty}]
    run = make_run(project, **ended("succeeded", samples=samples, log_tail=nasty))
    page = text_of(engineer.get(url("run", run.pk)))
    assert nasty not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4


def test_it_shows_samples_at_the_same_prompts_over_the_steps(
    engineer: Client, project: Project
) -> None:
    steps = [{"step": 5, "text": "early <b>"}, {"step": 10, "text": "late"}]
    samples = [{"prompt": "p", "before": "b", "after": "a", "steps": steps}]
    run = make_run(project, state="running", started_at=timezone.now(), samples=samples)
    page = text_of(engineer.get(url("run", run.pk)))
    assert "While it trained" in page
    assert page.index("early &lt;b&gt;") < page.index("late")


def test_it_shows_the_held_out_accuracy_with_its_interval_and_n(
    engineer: Client, project: Project
) -> None:
    results = {"heldout_accuracy": 0.64, "heldout_low": 0.55, "heldout_high": 0.73}
    run = make_run(
        project, "reward", **ended("succeeded", results=results | {"heldout_pairs": 118})
    )
    make_checkpoint(project, kind=Checkpoint.Kind.REWARD, run=run)
    for name, pk in (("run", run.pk), ("runs", project.pk), ("checkpoints", project.pk)):
        page = text_of(engineer.get(url(name, pk)))
        assert "64.0\u00a0%" in page
        assert "95\u00a0% interval 55.0–73.0\u00a0%, n = 118" in page


def test_it_shows_where_a_reward_model_is_right(engineer: Client, project: Project) -> None:
    share = {"value": 0.75, "low": 0.6, "high": 0.9, "n": 40}
    results = {
        "heldout_accuracy": 0.7, "heldout_low": 0.6, "heldout_high": 0.8, "heldout_pairs": 50,
        "heldout_votes": 60, "heldout_prompts": 12, "human_agreement": share,
        "by_strength": {"significantly": share}, "by_length": {"shorter": share},
        "calibration": [{"predicted": 0.8, "chosen": 0.55, "n": 60}], "calibration_error": 0.25,
        "length_correlation": 0.41, "length_completions": 80, "longer_preferred": 0.7,
        "longer_preferred_by_people": 0.5, "longer_pairs": 44, "left_out_too_long": 3,
    }  # fmt: skip
    run = make_run(project, "reward", **ended("succeeded", results=results))
    page = text_of(engineer.get(url("run", run.pk)))
    for words in (
        "n = 60 votes on 50 pairs of 12 prompts",
        "Human agreement",
        "two people on one pair",
        "significantly",
        "shorter",
        "predicted 80%, chosen by 55% of 60 votes",
        "it prefers the longer in 70.0\u00a0% of 44 pairs, people in 50.0\u00a0%",
        "longer than max length",
    ):
        assert words in page
    earlier = make_run(project, "reward", **ended("succeeded", results={"train_pairs": 9}))
    assert "reward-report" not in text_of(engineer.get(url("run", earlier.pk)))


def test_it_tells_how_many_runs_are_ahead(engineer: Client, project: Project) -> None:
    make_run(project, state="running", started_at=timezone.now())
    make_run(project, "sample")
    make_run(project)
    last = make_run(project)
    assert "2 runs ahead" in text_of(engineer.get(url("run", last.pk)))


def test_it_shows_the_line_and_why_each_waits(
    engineer: Client, project: Project, charlie: User
) -> None:
    other = Project.objects.create(name="Other", created_by=charlie)
    first, second = make_run(project), make_run(project)
    foreign = make_run(other, priority=1)
    page = text_of(engineer.get(url("runs", project.pk)))
    assert page.index(f'id="line-{first.pk}"') < page.index(f'id="line-{second.pk}"')
    assert "a run of another project goes before it: it has a higher priority" in page
    assert f"Run {first.pk} (sft) goes before it: it came first" in page
    assert f'id="line-{foreign.pk}"' not in page


def test_it_says_which_run_holds_the_device(engineer: Client, project: Project) -> None:
    make_run(project)
    busy = make_run(project, state="running", device="box/training", started_at=timezone.now())
    page = text_of(engineer.get(url("runs", project.pk)))
    assert f"Run {busy.pk} (sft) runs on box/training: one run at a time" in page


def test_it_says_when_no_worker_comes(engineer: Client, project: Project) -> None:
    run = make_run(project)
    assert "next in line" in text_of(engineer.get(url("runs", project.pk)))
    long_ago = timezone.now() - timedelta(minutes=2)
    Run.objects.filter(id=run.pk).update(created_at=long_ago)
    page = text_of(engineer.get(url("runs", project.pk)))
    assert "see that a worker of the queue “training” is running" in page


def test_a_run_is_moved_up_and_down_the_line(engineer: Client, project: Project) -> None:
    run = make_run(project)
    address = url("set_priority", project.pk)
    for verb, priority in (("raise", 1), ("raise", 1), ("lower", 0), ("lower", -1)):
        response = engineer.post(address, {verb: str(run.pk)})
        assert response.headers["Location"] == url("runs", project.pk)
        run.refresh_from_db()
        assert run.priority == priority


def test_a_run_that_goes_already_keeps_its_place(engineer: Client, project: Project) -> None:
    run = make_run(project, state="running", started_at=timezone.now())
    page = engineer.post(url("set_priority", project.pk), {"raise": str(run.pk)}, follow=True)
    assert "does not wait any more" in text_of(page)


def test_only_engineers_of_its_project_move_a_run(
    client: Client, engineer: Client, project: Project, bob: User, charlie: User
) -> None:
    other = make_run(Project.objects.create(name="Other", created_by=charlie))
    address = url("set_priority", project.pk)
    assert engineer.post(address, {"raise": str(other.pk)}).status_code == 404
    assert engineer.get(address).status_code == 405
    client.force_login(bob)
    assert client.post(address, {"raise": str(make_run(project).pk)}).status_code == 404


def test_it_lists_only_this_projects_runs(
    engineer: Client, project: Project, charlie: User
) -> None:
    other = make_run(Project.objects.create(name="Other", created_by=charlie))
    run = make_run(project)
    page = text_of(engineer.get(url("runs", project.pk)))
    assert f'href="{url("run", run.pk)}"' in page
    assert f'href="{url("run", other.pk)}"' not in page


def test_it_filters_runs_by_stage(engineer: Client, project: Project) -> None:
    sft, ppo = make_run(project), make_run(project, "ppo")
    page = text_of(engineer.get(url("runs", project.pk) + "?stage=ppo"))
    assert f'href="{url("run", ppo.pk)}"' in page
    assert f'href="{url("run", sft.pk)}"' not in page


def test_it_asks_as_often_for_many_runs_as_for_few(
    engineer: Client, project: Project, django_assert_max_num_queries: Any
) -> None:
    parent, snapshot = make_base(project), make_snapshot(project)
    for _ in range(30):
        make_run(project, parent=parent, snapshot=snapshot, **ended("succeeded"))
    with django_assert_max_num_queries(15):
        engineer.get(url("runs", project.pk))


def test_it_leads_from_a_policy_to_its_evaluation_once_there_is_one(
    engineer: Client, project: Project
) -> None:
    base = make_base(project)
    run = make_run(project, "ppo", **ended("succeeded", parent=base))
    child = make_checkpoint(project, run=run, parent=base)
    onward = url("checkpoint", child.pk) + "#evaluate"
    assert onward in text_of(engineer.get(url("run", run.pk)))
    sampling = make_run(project, "sample", **ended("succeeded", parent=child))
    evaluation = Evaluation.objects.create(
        project=project, child=child, parent=base, run=sampling, batch="run-x"
    )
    for shown in (run, sampling):
        page = text_of(engineer.get(url("run", shown.pk)))
        assert url("evaluation", evaluation.pk) in page
        assert onward not in page
