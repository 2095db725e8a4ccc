"""Simulated annotators read what people read, and are wrong as often as they say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from annotations.models import Annotation, Item, Kind, Project, User
from annotations.tests.factories import make_item, make_rating_scheme
from conftest import PASSWORD
from training import simulation
from training.services import KINDS_OF_WORK
from training.simulation import SimulatedAnnotator, SimulationError, read_page

PAGE = """
<form action="/search/"><input name="q"></form>
<article data-work="comparison">
<p data-prompt>Write a haiku about &lt;b&gt;.</p>
<div data-completion>one <em>two</em>
three</div><div data-completion>four</div>
<form action="/assignments/7/submit/" method="post">
<input type="hidden" name="csrfmiddlewaretoken" value="abc">
<input type="radio" name="choice" value="tie">
</form>
</article>
"""


@pytest.fixture
def annotator(monkeypatch: pytest.MonkeyPatch) -> SimulatedAnnotator:
    """An annotator who need not sign in, since nothing here is sent."""
    monkeypatch.setattr(SimulatedAnnotator, "_sign_in", lambda *_: None)
    return SimulatedAnnotator("http://x", "bob", "-", judge=lambda _p, t: len(t), flip=0.2, seed=1)


def test_it_reads_the_prompt_the_completions_in_order_and_the_form() -> None:
    page = read_page(PAGE)
    assert page is not None
    assert page.action == "/assignments/7/submit/"
    assert page.kind == "comparison"
    assert page.prompt == "Write a haiku about <b>."
    assert page.completions == ["one two\nthree", "four"]
    assert page.hidden == {"csrfmiddlewaretoken": "abc"}


def test_it_sees_that_nothing_is_left() -> None:
    assert read_page("<p>All done.</p>") is None


def test_it_flips_the_stated_share_of_answers(annotator: SimulatedAnnotator) -> None:
    answers = Counter(annotator.choose(3.0, 1.0).split("-")[0] for _ in range(5_000))
    assert answers["right"] / 5_000 == pytest.approx(0.2, abs=0.02)


def test_it_ties_where_the_judge_ties_unless_flipped(annotator: SimulatedAnnotator) -> None:
    answers = Counter(annotator.choose(1.0, 1.0).split("-")[0] for _ in range(5_000))
    assert answers["tie"] / 5_000 == pytest.approx(0.8, abs=0.02)
    assert answers["left"] / 5_000 == pytest.approx(0.1, abs=0.02)


def test_it_ranks_by_its_judge_with_ties_when_it_is_never_wrong(
    annotator: SimulatedAnnotator,
) -> None:
    annotator.flip = 0.0
    assert annotator.rank([1.0, 5.0, 1.0, 3.0]) == [3, 1, 3, 2]


@pytest.mark.parametrize(
    ("gap", "strength"),
    [(2.0, "significantly"), (1.0, "better"), (0.5, "slightly"), (0.1, "negligibly")],
)
def test_it_says_how_much_better(annotator: SimulatedAnnotator, gap: float, strength: str) -> None:
    annotator.flip = 0.0
    assert annotator.choose(gap, 0.0) == f"left-{strength}"
    assert simulation.STRENGTH_FROM_GAP[-1][0] == 0.0


def test_it_rates_from_the_top_of_the_scale_down(annotator: SimulatedAnnotator) -> None:
    annotator.flip = 0.0
    assert [annotator.rate(score, 7) for score in (0.0, -0.75, -3.0, -90.0)] == [7, 6, 3, 1]
    annotator.flip = 1.0
    assert [annotator.rate(score, 7) for score in (0.0, -3.0)] == [1, 5]


@pytest.fixture
def ask(live_server: Any, project: Project, bob: User) -> Any:
    """Return a function that lets bob be a program that prefers short texts."""

    def work(kind: str) -> int:
        annotator = SimulatedAnnotator(
            live_server.url, "bob", PASSWORD, judge=lambda _p, t: -len(t) / 4, flip=0.0, seed=1
        )
        return annotator.work(project.pk, kind)

    return work


@pytest.mark.django_db(transaction=True)
def test_it_answers_what_is_asked_before_a_ranking(project: Project, ask: Any) -> None:
    scheme = make_rating_scheme(project, before_ranking=True)
    texts = ["abc", "a", "ab", "abcd"]
    item = make_item(project, Kind.RANKING, texts=texts, rating_scheme=scheme)
    assert ask(Kind.RANKING) == 1
    annotation = Annotation.objects.get(item=item)
    tiers = dict(annotation.ranking.entries.values_list("completion__text", "tier"))
    assert tiers == {"a": 0, "ab": 1, "abc": 2, "abcd": 3}
    said = annotation.rating.answers.values_list("completion__text", "question", "value")
    assert set(said) == {
        *((text, "harmful", 0) for text in texts),
        *(("a", "overall", 7), ("ab", "overall", 6), ("abc", "overall", 6)),
        ("abcd", "overall", 6),
    }


@pytest.mark.parametrize("kind", KINDS_OF_WORK)
@pytest.mark.django_db(transaction=True)
def test_it_judges_every_kind_and_says_what_it_cannot_write(
    project: Project, ask: Any, kind: str
) -> None:
    make_item(project, kind)
    if kind in simulation.JUDGED:
        assert ask(kind) == 1
        assert Annotation.objects.get().kind == kind
        assert not Item.objects.filter(open_slots=1).exists()
    else:
        with pytest.raises(SimulationError, match=f"they do not write.*asks for a {kind}"):
            ask(kind)
