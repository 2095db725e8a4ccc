"""The demo that `make run` makes."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from annotations.models import Annotation, Item, Kind, Membership, Project, Prompt, User
from training.models import Checkpoint, Promotion


@pytest.fixture
def demo(db: None, settings: Any, tiny_model: Path) -> Project:
    settings.DEMO = True
    settings.BASE_MODEL_PATH = tiny_model
    call_command("seed_demo", stdout=StringIO())
    return Project.objects.get(name="Haiku")


def test_it_has_people_prompts_haikus_and_a_first_sampler(demo: Project) -> None:
    roles = dict(Membership.objects.values_list("user__username", "role"))
    assert roles == {
        "alice": "owner",
        "eve": "engineer",
        "carol": "reviewer",
        "bob": "annotator",
        "bea": "annotator",
        "ben": "annotator",
    }
    assert Prompt.objects.filter(project=demo).count() >= 300
    assert Annotation.objects.filter(kind=Kind.DEMONSTRATION).count() >= 150
    assert set(Prompt.objects.values_list("split", flat=True)) == {"train", "validation", "test"}
    assert Promotion.objects.get().checkpoint.kind == Checkpoint.Kind.BASE
    assert demo.guideline_versions.exclude(published_at=None).count() == len(Kind.values)
    assert (demo.counters, demo.line_syllables) == (["lines", "syllables"], [5, 7, 5])
    assert demo.own_prompts_allowed
    assert demo.own_conversations_allowed
    assert len(demo.rating_schemes.exclude(published_at=None).get().questions) == 12


def test_the_second_time_it_adds_nothing_and_its_model_follows_when_everything_is_moved(
    demo: Project, settings: Any, tiny_model: Path, tmp_path: Path
) -> None:
    models = (Annotation, Checkpoint, Item, Membership, Project, Promotion, Prompt, User)
    before = {model: model.objects.count() for model in models}
    said = StringIO()
    call_command("seed_demo", stdout=said)
    assert {model: model.objects.count() for model in models} == before
    assert "haiku-demo" in said.getvalue()
    settings.BASE_MODEL_PATH = shutil.copytree(tiny_model, tmp_path / "model")
    call_command("seed_demo", stdout=StringIO())
    assert Checkpoint.objects.get().path == str(tiny_model.resolve())  # a copy: it is there still
    Checkpoint.objects.update(path="/nowhere/model")
    call_command("seed_demo", stdout=StringIO())
    assert Checkpoint.objects.get().path == str(settings.BASE_MODEL_PATH)
    assert {model: model.objects.count() for model in models} == before


def test_it_gives_a_labeller_two_haikus_to_compare_at_once(demo: Project, client: Client) -> None:
    assert client.login(username="bob", password="haiku-demo")
    response = client.post(reverse("annotations:start", args=[demo.pk]), follow=True)
    assert response.content.count(b"data-completion") == 2


def test_it_makes_nobody_with_a_public_password_outside_a_demo(db: None, settings: Any) -> None:
    settings.DEMO = False
    with pytest.raises(CommandError, match="DEMO=1"):
        call_command("seed_demo")
    assert not User.objects.exists()
