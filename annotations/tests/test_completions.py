"""What becomes of sampled completions: which items people are asked about."""

from __future__ import annotations

import pytest
from django.apps import apps

from annotations import services
from annotations.models import Item, Kind
from annotations.services import Answer, ServiceError
from annotations.tests.factories import make_prompt


def answers(prompt, *texts):
    return [Answer(prompt.pk, text, source_name="model") for text in texts]


def test_it_asks_for_a_rewrite_of_each_answer(project):
    prompt = make_prompt(project)
    added = services.add_completions(
        project, answers(prompt, "a", "b", "a ", ""), kind="rewrite", batch="run-1"
    )
    assert added == services.AddedItems(completions=3, items=3, dropped=1)
    assert set(Item.objects.values_list("kind", flat=True)) == {Kind.REWRITE}


def test_it_asks_to_rate_all_answers_of_a_prompt_by_the_questions_in_force(project, alice):
    prompt = make_prompt(project)
    with pytest.raises(ServiceError, match="No questions are published"):
        services.add_completions(project, answers(prompt, "a"), kind="rating", batch="run-1")
    scheme = services.publish_scheme(project, services.DEFAULT_QUESTIONS, alice)
    texts = [f"haiku {number}" for number in range(10)]
    added = services.add_completions(
        project, answers(prompt, *texts), kind="rating", batch="run-1", overlap=2
    )
    assert added == services.AddedItems(completions=10, items=2, dropped=0)
    assert [item.completions.count() for item in Item.objects.order_by("id")] == [9, 1]
    assert {item.rating_scheme for item in Item.objects.all()} == {scheme}


def test_it_asks_to_assemble_what_has_parts(project):
    prompt, lonely = make_prompt(project), make_prompt(project, "Another.")
    several = [*answers(prompt, "a", " ", "b", "c"), *answers(lonely, "alone")]
    added = services.add_completions(project, several, kind="assembly", batch="run-1")
    assert added == services.AddedItems(completions=3, items=1, dropped=2)
    assert Item.objects.get().kind == Kind.ASSEMBLY


def test_a_ranking_gets_the_questions_that_come_first(project, alice):
    scheme = services.publish_scheme(
        project, services.DEFAULT_QUESTIONS, alice, before_ranking=True
    )
    prompt = make_prompt(project)
    for number, kind in enumerate(["ranking", "comparison"]):
        services.add_completions(
            project, answers(prompt, "a", "b", "c"), kind=kind, batch=f"run-{number}"
        )
    assert Item.objects.get(kind=Kind.RANKING).rating_scheme == scheme
    assert Item.objects.get(kind=Kind.COMPARISON).rating_scheme is None


def test_it_knows_the_question_that_an_item_asks(project):
    prompt = make_prompt(project)
    for batch in ("run-1", "run-2"):
        services.add_completions(project, answers(prompt, "a", "b"), kind="comparison", batch=batch)
    assert Item.objects.exclude(fingerprint="").values("fingerprint").distinct().count() == 1


def battle(project, *pairs):
    """Ask for an evaluation: each pair is of another prompt, the child's text first."""
    checkpoints = apps.get_model("training", "Checkpoint").objects
    child, parent = (
        checkpoints.create(project=project, name=name, kind="base", path=f"/{name}")
        for name in ("child", "parent")
    )
    both = []
    for number, (one, other) in enumerate(pairs):
        prompt = make_prompt(project, f"battle {number}")
        both.append(Answer(prompt.pk, one, checkpoint_id=child.pk))
        both.append(Answer(prompt.pk, other, checkpoint_id=parent.pk))
    return services.add_completions(
        project, both, kind="comparison", purpose="evaluation", batch="evaluation-1", overlap=2
    )


def test_an_empty_answer_loses_an_evaluation_without_a_judge(project):
    added = battle(project, ("", "a haiku"), ("one\nline", "one line"), ("a haiku", " \n"))
    child, parent = apps.get_model("training", "Checkpoint").objects.order_by("id")
    first, _, third = project.prompts.order_by("id")
    lost = [(first.pk, child.pk)] * 2 + [(third.pk, parent.pk)] * 2  # as often as the overlap asks
    assert added == services.AddedItems(completions=2, items=1, dropped=0, empty_answers=lost)


def test_equal_answers_are_a_tie_that_nobody_judges(project):
    added = battle(project, ("same", "same\n"), ("", " "), ("a", "b"), ("a\x00", "c"))
    assert (added.items, added.completions, added.dropped) == (1, 2, 2)
    first, second = project.prompts.order_by("id")[:2]
    assert added.equal_prompts == [first.pk, first.pk, second.pk, second.pk]
