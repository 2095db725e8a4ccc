"""The form of a new run: made from the config dataclass, refused beside the field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from annotations.models import Project
from training.forms import (
    MAIN_FIELDS,
    SNAPSHOT_CONTENT,
    TRAINED_STAGES,
    CompletionsForm,
    RunForm,
    config_fields,
    config_help,
    run_defaults,
)
from training.models import Checkpoint
from training.pipeline.config import CONFIGS, parse_config
from training.pipeline.presets import PRESETS
from training.services import SCORED
from training.tests.factories import make_base, make_checkpoint, make_snapshot

pytestmark = pytest.mark.django_db


def filled(project: Project, stage: str, **changes: Any) -> RunForm:
    """Return the form as the page sends it when nothing but `changes` was touched."""
    base = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE).first()
    data: dict[str, Any] = {
        "parent": (base or make_base(project)).pk,
        "snapshot": make_snapshot(project, SNAPSHOT_CONTENT[stage]).pk,
    }
    if stage in SCORED:
        data["reward_checkpoint"] = make_checkpoint(project, kind=Checkpoint.Kind.REWARD).pk
    values = CONFIGS[stage]().to_dict()
    unset = (None, False)  # an empty field and an unticked box are not sent
    data |= {k: v for k, v in values.items() if k != "stage" and not any(v is u for u in unset)}
    return RunForm(project, stage, data | changes)


@pytest.mark.parametrize("stage", TRAINED_STAGES)
def test_it_returns_the_defaults_when_nothing_is_touched(project: Project, stage: str) -> None:
    form = filled(project, stage)
    assert form.is_valid(), form.errors
    assert parse_config(stage, form.config()) == CONFIGS[stage]()


@pytest.mark.parametrize("stage", list(CONFIGS))
def test_it_explains_every_setting_with_its_docstring(stage: str) -> None:
    names = {field.name for field in config_fields(stage)}
    assert names == {f.name for f in dataclasses.fields(CONFIGS[stage])} - {"stage"}
    assert names <= set(config_help(stage))


def test_it_takes_the_docstring_of_the_stage_over_that_of_its_base() -> None:
    assert config_help("sft")["batch_size"].startswith("Demonstrations per")
    assert config_help("sft")["seed"].startswith("Seed of every random choice in the run")


def test_it_refuses_a_learning_rate_that_cannot_work_beside_its_field(project: Project) -> None:
    form = filled(project, "sft", learning_rate="1e9")
    assert not form.is_valid()
    (error,) = form.errors["learning_rate"]
    assert "choose a value from 1e-08 to 0.01" in error
    assert list(form.errors) == ["learning_rate"]


def test_it_refuses_several_settings_at_once(project: Project) -> None:
    form = filled(project, "ppo", learning_rate="1e9", gamma="2", batch_size="0")
    assert not form.is_valid()
    assert {"learning_rate", "gamma", "batch_size"} <= set(form.errors)


@pytest.mark.parametrize("value", ["nan", "inf", "abc", ""])
def test_it_refuses_what_is_no_number(project: Project, value: str) -> None:
    form = filled(project, "sft", learning_rate=value)
    assert "learning_rate" in form.errors


def test_it_says_that_batches_must_fit(project: Project) -> None:
    form = filled(project, "ppo", batch_size="10", minibatch_size="4")
    assert "not a multiple of minibatch_size 4" in str(form.errors["batch_size"])


def test_it_lets_an_optional_setting_stay_empty(project: Project) -> None:
    form = filled(project, "ppo", target_kl="")
    assert form.is_valid(), form.errors
    assert form.config()["target_kl"] is None


def test_it_offers_no_snapshot_of_other_content_or_project(project: Project) -> None:
    other = make_snapshot(project, "prompts")
    form = filled(project, "sft", snapshot=other.pk)
    assert "snapshot of demonstrations" in str(form.errors["snapshot"])


def test_it_does_not_start_from_a_reward_model(project: Project) -> None:
    reward = make_checkpoint(project, kind=Checkpoint.Kind.REWARD)
    assert "parent" in filled(project, "sft", parent=reward.pk).errors


def test_it_names_what_ppo_lacks(project: Project) -> None:
    form = filled(project, "ppo", reward_checkpoint="")
    assert "Train one first" in str(form.errors["reward_checkpoint"])


@pytest.mark.parametrize("stage", list(PRESETS))
def test_its_presets_can_run(stage: str) -> None:
    for preset in PRESETS[stage]:
        parse_config(stage, preset.values)


def test_presets_of_a_stage_have_names_of_their_own() -> None:
    for stage, presets in PRESETS.items():
        assert stage in CONFIGS
        assert len({preset.name for preset in presets}) == len(presets)


@pytest.mark.parametrize("stage", list(PRESETS))
def test_a_preset_that_was_not_tried_here_says_so(stage: str) -> None:
    (large,) = [preset for preset in PRESETS[stage] if preset.name == "7b"]
    assert "not tried here" in large.note


def test_it_refuses_layers_without_a_name(project: Project) -> None:
    form = filled(project, "sft", lora_targets=" ")
    assert "lora_targets" in form.errors


def test_it_refuses_a_micro_batch_that_does_not_divide_the_batch(project: Project) -> None:
    form = filled(project, "sft", batch_size="8", micro_batch_size="3")
    assert "no divisor of the 8 rows" in str(form.errors["micro_batch_size"])


def test_it_says_once_what_does_not_go_together(project: Project) -> None:
    form = filled(project, "sft", full="on")
    assert list(form.errors) == ["learning_rate"]
    assert len(form.errors["learning_rate"]) == 1


def test_it_offers_a_reward_model_of_the_same_base(project: Project) -> None:
    other, mine = make_base(project, name="other"), make_base(project, name="mine")
    fitting = make_checkpoint(project, kind=Checkpoint.Kind.REWARD, parent=mine)
    make_checkpoint(project, kind=Checkpoint.Kind.REWARD, parent=other)
    values = run_defaults(project, "ppo")
    assert (values["parent"], values["reward_checkpoint"]) == (mine.pk, fitting.pk)


def test_it_calls_settings_as_the_page_calls_them(project: Project) -> None:
    form = filled(project, "sft", batch_size="8", micro_batch_size="3", full="on")
    form.use_labels()
    words = str(form.errors)
    assert "“Micro batch size” 3 is no divisor" in words
    assert not any(field.name in words.split() for field in config_fields("sft"))


def test_it_shows_every_setting_once(project: Project) -> None:
    for stage in PRESETS:
        form = RunForm(project, stage)
        shown = [field.name for field in [*form.main_settings(), *form.more_settings()]]
        assert sorted(shown) == sorted(field.name for field in config_fields(stage))
        assert set(MAIN_FIELDS[stage]) <= set(shown)


def test_it_asks_by_what_the_best_is_chosen(project: Project) -> None:
    form = CompletionsForm({"best_of": "4"}, project=project)
    assert "chosen by" in str(form.errors["reward_checkpoint"])
    reward = make_checkpoint(project, kind=Checkpoint.Kind.REWARD)
    form = CompletionsForm({"best_of": "4", "reward_checkpoint": reward.pk}, project=project)
    assert "reward_checkpoint" not in form.errors
    policy = make_checkpoint(project)
    form = CompletionsForm({"best_of": "4", "reward_checkpoint": policy.pk}, project=project)
    assert "no reward model" in str(form.errors["reward_checkpoint"])


def test_it_asks_for_two_completions_at_least() -> None:
    form = CompletionsForm({"completions_per_prompt": "1"})
    assert "at least 2" in str(form.errors["completions_per_prompt"])


@pytest.mark.parametrize(
    ("kind", "count", "fits"),
    [("rating", 1, True), ("rewrite", 1, True), ("assembly", 1, False), ("assembly", 2, True)],
)
def test_one_completion_is_enough_where_none_is_laid_beside_it(
    kind: str, count: int, fits: bool
) -> None:
    form = CompletionsForm({"kind": kind, "completions_per_prompt": str(count)})
    assert ("completions_per_prompt" not in form.errors) == fits
    assert "kind" not in form.errors
