"""What a project gives away says the same in an empty one: every kind of judgement, any text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from annotations import exports, services
from annotations.models import Assembly, Import, Item, Kind, Project, Rewrite, User
from annotations.services.rating_schemes import flag, scale, scheme_in_force
from annotations.services.ratings import write_rating
from annotations.tests.content import said_in
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
    make_ranking,
)

TEXTS = (
    "old pond\na frog leaps in\n\nwater's sound",
    "  two spaces before, a tab behind\t",
    '=HYPERLINK("http://example.org")\n,";',
    "“Frösche” 蛙 🐸 \u202e\u2028 e\u0301",
    "not harmful",
    "left",
    '{"data": {}}',
    "<View>&amp;</View>",
    "tier_1",
)
QUESTIONS = [
    scale("quality", "Quality", points=10, low="", high="") | {"required": False},
    flag("harmful", "Harmful"),
    flag("not_a_haiku", "No haiku"),
]
MESSAGES = [
    {"role": "system", "content": "Write haikus."},
    {"role": "user", "content": "A frog?"},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": TEXTS[3]},
]
Make = Callable[[Project, User, random.Random, dict[str, Any]], None]


def compared(project: Project, person: User, rng: random.Random, more: dict[str, Any]) -> None:
    outcome = rng.choice(("left", "right", "tie", "both_bad"))
    strengths = ("", "significantly", "better", "slightly", "negligibly")
    strength = rng.choice(strengths) if outcome in ("left", "right") else ""
    item = an_item(project, Kind.COMPARISON, rng, 2)
    make_comparison(item, person, outcome, strength, shown_order=ids_of(item), **more)


def ranked(project: Project, person: User, rng: random.Random, more: dict[str, Any]) -> None:
    item = an_item(project, Kind.RANKING, rng, rng.randint(2, 9))
    tiers: list[list[int]] = [[]]
    for one in rng.sample(ids_of(item), item.completions.count()):
        if tiers[-1] and rng.random() < 0.6:
            tiers.append([])
        tiers[-1].append(one)
    make_ranking(item, person, tiers, **more)


def rated(project: Project, person: User, rng: random.Random, more: dict[str, Any]) -> None:
    scheme = scheme_in_force(project)
    item = an_item(project, Kind.RATING, rng, rng.randint(1, 4), rating_scheme=scheme)
    answers = {
        one: {
            **({"quality": rng.randint(1, 10)} if rng.random() < 0.8 else {}),
            "harmful": rng.randint(0, 1),
            "not_a_haiku": rng.randint(0, 1),
        }
        for one in ids_of(item)
    }
    write_rating(make_annotation(item, person, shown_order=ids_of(item), **more), scheme, answers)


def rewritten(project: Project, person: User, rng: random.Random, more: dict[str, Any]) -> None:
    item = an_item(project, Kind.REWRITE, rng, 1)
    Rewrite.objects.create(
        annotation=make_annotation(item, person, **more),
        original=item.completions.get(),
        completion=make_completion(item.prompt, rng.choice(TEXTS) + "!", author=person),
    )


def wrote(project: Project, person: User, rng: random.Random, more: dict[str, Any]) -> None:
    prompt = make_prompt(project, messages=a_prompt(project))
    more = more | {"reason": ""}  # nobody is asked why
    make_demonstration(project, person, rng.choice(TEXTS), prompt=prompt, **more)


def assembled(project: Project, person: User, rng: random.Random, more: dict[str, Any]) -> None:
    item = an_item(project, Kind.ASSEMBLY, rng, 3)
    Assembly.objects.create(
        annotation=make_annotation(item, person, **more),
        completion=make_completion(item.prompt, rng.choice(TEXTS) + "!", author=person),
    )


def an_item(project: Project, kind: str, rng: random.Random, count: int, **more: Any) -> Item:
    prompt = make_prompt(project, messages=a_prompt(project), tags=["spring"])
    completions = [
        make_completion(prompt, text, source_name=rng.choice(("", "gpt")))
        for text in rng.sample(TEXTS, count)
    ]
    return make_item(project, kind, prompt=prompt, completions=completions, **more)


def a_prompt(project: Project) -> list[dict[str, str]]:
    number = project.prompts.count()
    last = {"role": "user", "content": f"{TEXTS[number % len(TEXTS)]} {number}"}
    return [*MESSAGES[:-1], last] if number % 3 == 0 else [last]


def ids_of(item: Item) -> list[int]:
    return list(item.completions.order_by("id").values_list("id", flat=True))


def judged(project: Project) -> list[str]:
    """Return what everybody said, whichever completion lay on the left."""
    pseudonyms = {one.username: exports.pseudonym(one.pk) for one in User.objects.all()}
    told = []
    for row in said_in(project):
        said = {name: value for name, value in row["said"].items() if name != "questions_version"}
        if row["kind"] == Kind.COMPARISON:
            sides = {"left": said.pop("left"), "right": said.pop("right")}
            better = sides.get(said.pop("outcome") if said["outcome"] in sides else "")
            said |= {"of": sorted(sides.values()), "better": better or row["said"]["outcome"]}
        # An assembly comes back as the text that it became: an ideal answer.
        kind = Kind.DEMONSTRATION if row["kind"] == Kind.ASSEMBLY else row["kind"]
        person = pseudonyms.get(row["annotator"], row["annotator"])
        same = {name: row[name] for name in ("prompt", "tags", "reason", "wall_ms")}
        told.append(
            json.dumps({**same, "kind": kind, "person": person, "said": said}, sort_keys=True)
        )
    return sorted(told)


@pytest.mark.parametrize("make", [compared, ranked, rated, rewritten, wrote, assembled])
def test_what_is_exported_says_the_same_in_an_empty_project(project, bob, bea, alice, make):
    services.publish_scheme(project, QUESTIONS, alice)
    rng = random.Random(7)
    for number in range(15):
        reason = rng.choice(("", "fresher", TEXTS[0], TEXTS[3]))
        wall_ms = rng.choice((None, 0, 1, 999, 12_345, 2**31 - 1))
        make(project, (bob, bea)[number % 2], rng, {"reason": reason, "wall_ms": wall_ms})
    before = judged(project)
    assert len(before) == 15
    other = services.create_project(name="Empty", description="", created_by=alice)
    content = exports.write_export(project, "label-studio", "json")
    brought = services.bring_file(other, "tasks.json", content, alice)
    services.start_import(brought)
    assert services.run_import(brought).state == Import.State.DONE, brought.bad or brought.problem
    assert judged(other) == before
