"""How far people agree, over a whole project."""

from __future__ import annotations

from annotations.models import Annotation, Item, Kind, Project, Retraction, User
from annotations.selectors import Line, agreement_overview, own_statistics
from annotations.services import make_gold
from annotations.tests.factories import make_comparison, make_item, make_ranking


def lines(project: Project, batch: str | None = None) -> tuple[Line, ...]:
    overview = agreement_overview(project, batch)
    assert overview is not None
    return overview.lines


def test_gold_items_do_not_make_people_look_agreed(
    project: Project, bob: User, bea: User, ben: User
) -> None:
    item = make_item(project, overlap=2)
    known = make_comparison(item, bob, outcome="left").annotation
    make_comparison(item, bea, outcome="right")
    gold = make_gold(known)
    make_comparison(gold, ben, outcome="left")
    make_comparison(gold, bea, outcome="left")
    (line,) = lines(project)
    assert (line.things, line.people, line.labels) == (1, 2, 2)
    assert line.pairwise.value == 0


def test_gold_rankings_are_left_out_too(project: Project, bob: User, bea: User) -> None:
    gold = make_item(project, Kind.RANKING, purpose=Item.Purpose.GOLD)
    tiers = [[one] for one in gold.completions.order_by("id").values_list("id", flat=True)]
    make_ranking(gold, bob, tiers)
    make_ranking(gold, bea, tiers)
    assert lines(project) == ()


def test_ones_own_agreement_leaves_gold_items_out(project: Project, bob: User, bea: User) -> None:
    project.shows_agreement = True
    project.save()
    item, gold = make_item(project, overlap=2), make_item(project, purpose=Item.Purpose.GOLD)
    for judged, said in ((item, "right"), (gold, "left")):
        make_comparison(judged, bob, outcome="left")
        make_comparison(judged, bea, outcome=said)
    own = own_statistics(bob, project)
    assert (own.agreed, own.compared) == (0, 1)


def test_it_reports_on_one_batch(project: Project, bob: User, bea: User) -> None:
    for batch in ("run-1", "run-2"):
        item = make_item(project, batch=batch)
        make_comparison(item, bob)
        make_comparison(item, bea, outcome="left" if batch == "run-1" else "tie")
    shares = [lines(project, batch)[0].pairwise.value for batch in ("run-1", "run-2")]
    assert shares == [1, 0]
    assert lines(project)[0].things == 2


def test_what_was_taken_back_agrees_with_nobody(project: Project, bob: User, bea: User) -> None:
    item = make_item(project)
    make_comparison(item, bob)
    make_comparison(item, bea)
    Retraction.objects.create(annotation=Annotation.objects.get(annotator=bea))
    (line,) = lines(project)
    assert (line.things, line.labels) == (0, 1)
