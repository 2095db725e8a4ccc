"""From a prompt or a text one finds the prompts that are worded most like it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.algorithms.wording import NEARLY_THE_SAME, nearest
from annotations.models import Project, User
from annotations.tests.factories import make_prompt
from annotations.tests.test_api import Program

pytestmark = pytest.mark.django_db

OTHERS = (
    "Explain how vaccines work to a child.",
    "Which river is the longest in Europe?",
    "Write a haiku about a frog.",
    "Tell me how boiling an egg is done.",
    "Suggest a name for a bakery.",
)


def test_a_paraphrase_with_the_same_stems_is_nearer_than_anything_else() -> None:
    found = nearest("How do I boil eggs?", enumerate(OTHERS), 5)
    assert found[0][0] == 3
    assert all(similarity < found[0][1] / 2 for _, similarity in found[1:])


def test_order_capitals_and_full_width_letters_make_no_difference_and_typos_little() -> None:
    texts = ("Frog A about HAIKU a ｗｒｉｔｅ", "Write a haikku about a frog.", *OTHERS[:2])
    found = dict(nearest("Write a haiku about a frog.", enumerate(texts), 5))
    assert found[0] == pytest.approx(1)
    assert 0.6 < found[1] < 1


def test_languages_without_spaces_are_compared_by_their_characters() -> None:
    texts = ("写一首关于青蛙的俳句", "写一首关于大海的俳句", "如何煮鸡蛋？")
    found = nearest("写一首青蛙的俳句", enumerate(texts), 5)
    assert [key for key, _ in found][:2] == [0, 1]
    assert found[0][1] >= NEARLY_THE_SAME > found[1][1]


@pytest.mark.parametrize("text", ["", "?!", "\x00", "😀"])
def test_nothing_is_like_a_text_without_words(text: str) -> None:
    assert nearest(text, [(1, text), (2, "Words.")], 5) == []


def test_a_held_out_prompt_that_is_trained_on_in_other_order_is_shown_as_a_leak(
    client: Client, eve: User, project: Project
) -> None:
    for text in OTHERS:
        make_prompt(project, text)
    held_out = make_prompt(project, "Is a frog green <b>in</b> the winter?", split="test")
    trained_on = make_prompt(project, "In the winter <b>is</b> a frog green?", split="train")
    client.force_login(eve)
    for one, other in ((held_out, trained_on), (trained_on, held_out)):
        html = client.get(reverse("annotations:similar_to_prompt", args=[one.pk])).text
        assert html.count(">Leak<") == 1
        assert f'href="{reverse("annotations:similar_to_prompt", args=[other.pk])}"' in html
        assert "<b>in" not in html
        assert "<b>is" not in html
    [first, *_] = Program(eve, project).get(f"prompts/{held_out.pk}/similar").json()["items"]
    assert first["prompt"]["id"] == trained_on.pk
    assert first["is_leak"]
    trained_on.split = "validation"
    trained_on.save()
    [first, *_] = Program(eve, project).get(f"prompts/{held_out.pk}/similar").json()["items"]
    assert (first["is_leak"], first["is_nearly_the_same"]) == (False, True)


def test_a_typed_text_finds_prompts_of_its_own_project_alone(
    client: Client, alice: User, project: Project
) -> None:
    other = Project.objects.create(name="Another", created_by=alice)
    make_prompt(other, "Write a haiku about a green frog.")
    for text in OTHERS:
        make_prompt(project, text)
    client.force_login(alice)
    url = reverse("annotations:similar_prompts", args=[project.pk])
    html = client.get(url, {"search": "haiku about frogs"}).text
    assert "Write a haiku about a frog." in html
    assert "green frog" not in html
    assert "Compared with 5 prompts." in html
    assert "No prompt is worded like that" in client.get(url, {"search": "zzz"}).text
    assert client.get(url).status_code == 200
    assert url in client.get(reverse("annotations:prompts", args=[project.pk])).text


def test_conversations_that_end_alike_are_told_apart_and_the_newest_are_compared(
    alice: User, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(about: str) -> int:
        said = [(about, "user"), ("Gladly.", "assistant"), ("Go on.", "user")]
        messages = [{"role": role, "content": text} for text, role in said]
        return make_prompt(project, "Go on.", messages=messages).pk

    frogs = talk("Talk to me about frogs in ponds.")
    for about in ("Recite some old sonnets.", "Teach me to juggle three balls."):
        talk(about)
    program = Program(alice, project)
    path = f"projects/{project.pk}/prompts/similar?text=frogs+in+a+pond"
    answer = program.get(path).json()
    assert [one["prompt"]["id"] for one in answer["items"]] == [frogs]
    assert (answer["compared"], answer["is_cut"]) == (3, False)
    monkeypatch.setattr("annotations.selectors.similar_prompts.MOST_COMPARED", 2)
    answer = program.get(path).json()
    assert (answer["items"], answer["compared"], answer["is_cut"]) == ([], 2, True)
