"""What a labeller meets in German has nothing on it that was not translated.

German is marked where it comes out of the catalogue, and what people wrote is Greek: Latin letters
that are left outside of the marks are English that somebody forgot to translate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import resolve, reverse
from django.utils import translation
from django.utils.translation import trans_real

from annotations import services
from annotations.models import (
    AutomaticPause,
    GuidelineVersion,
    Item,
    Kind,
    KindRule,
    Membership,
    Project,
    Question,
    User,
)
from annotations.tests.factories import (
    SHOWN,
    make_assignment,
    make_demonstration,
    make_item,
    make_prompt,
    make_rating_scheme,
    make_replies,
)
from annotations.tests.test_qualification import make_rule
from labelstudio_llm.languages import OF_ONESELF, TRANSLATED
from tests.security.addresses import LETS_IN
from training import services as learning
from training.tests import scripted_door
from training.tests.factories import make_checkpoint

FILES = {"annotations:own_data_file", "annotations:statement_file"}
ENGLISH = {"annotations:language", "api:page", "api:openapi"}
"""The way to another language, and what programs and their authors read."""

OPEN, SHUT = "\ue000", "\ue001"
MARKED = re.compile(f"{OPEN}[^{OPEN}{SHUT}]*{SHUT}")
UNSEEN = re.compile(
    r"<(script|style|kbd|code|pre|svg)\b.*?</\1>|<(\w+)[^>]* lang=[^>]*>[^<]*</\2>|<!--.*?-->", re.S
)
SAID_ALOUD = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"')
TAG = re.compile(r"<[^>]*>|&\w+;|&#\w+;")
NAMES = re.compile(r"labelstudio-llm(?: [\w.+-]+)?|\bAPI\b|\b(?:UTC|EUR|min)\b|lsl-[\w-]+|x{99,}")

OVERALL: Question = {
    "name": "overall",
    "text": "Πόσο καλό;",
    "form": "scale",
    "points": 7,
    "low": "κακό",
    "high": "καλό",
    "required": True,
}


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mark what the German catalogue says."""
    german: Any = trans_real.translation("de")
    one, many = german.gettext, german.ngettext

    def gettext(english: str) -> str:
        said = one(english)
        return said if german._catalog.get(english) is None else f"{OPEN}{said}{SHUT}"

    def ngettext(english: str, plural: str, number: int) -> str:
        said = many(english, plural, number)
        return said if said in (english, plural) else f"{OPEN}{said}{SHUT}"

    monkeypatch.setattr(german, "gettext", gettext)
    monkeypatch.setattr(german, "ngettext", ngettext)
    drawn = caches["fragments"]  # without marks by others, and with them here
    drawn.clear()
    with translation.override("en"):
        yield
    drawn.clear()


def english_in(page: str) -> list[str]:
    """Return the words of a page that came out of no catalogue."""
    left = UNSEEN.sub(" ", page)
    while (fewer := MARKED.sub(" ", left)) != left:
        left = fewer
    said = " ".join([TAG.sub(" ", left), *SAID_ALOUD.findall(left)])
    return re.findall(r"[A-Za-z]{2,}", NAMES.sub(" ", said))


@pytest.fixture
def project(db: None) -> Project:
    owner = User.objects.create_user("Ολγα")
    found = Project.objects.create(
        name="Χαϊκού", created_by=owner, edits_allowed=True, grace_seconds=60
    )
    Membership.objects.create(project=found, user=owner, role="owner")
    for kind in ("demonstration", "comparison"):
        for version in (1, 2):
            GuidelineVersion.objects.create(
                project=found,
                kind=kind,
                version=version,
                text=f"Κείμενο {version}",
                created_by=owner,
            )
    services.set_rate(
        found,
        kind="",
        per_item=Decimal("0.30"),
        per_hour=Decimal(15),
        currency="EUR",
        made_by=owner,
    )
    return found


@pytest.fixture
def labeller(project: Project) -> User:
    found = User.objects.create_user("Βασίλης", password="haiku-demo")
    Membership.objects.create(project=project, user=found, role="annotator")
    return found


def greek_item(project: Project, kind: str, number: int, **changes: Any) -> Item:
    """Return an item whose texts are Greek."""
    prompt = make_prompt(project, f"Ένα χαϊκού {number};")
    texts = ["ένα", "δύο", "τρία", "τέσσερα"][: 1 if kind == Kind.REVIEW else SHOWN[Kind(kind)]]
    if kind == Kind.REVIEW:
        writer, _ = User.objects.get_or_create(username="Μαρία")
        written = make_demonstration(project, writer, "ένα", prompt=prompt)
        return make_item(project, kind, subject=written.annotation, **changes)
    return make_item(project, kind, prompt=prompt, texts=texts, **changes)


def known_of(item: Item) -> dict[str, Any]:
    """Return what a gold item of a kind knows."""
    ids = sorted(item.completions.values_list("id", flat=True))
    match Kind(item.kind):
        case Kind.COMPARISON:
            return {"left": ids[0], "right": ids[1], "outcome": "left", "strength": ""}
        case Kind.RANKING:
            return {"tiers": [ids[:1], ids[1:]]}
        case Kind.RATING:
            return {"answers": {str(one): {"overall": 6} for one in ids}}
        case Kind.REVIEW:
            return {"decision": "accept"}
    return {"text": "καλό"}


class Reader:
    """A labeller's browser that asks for German and looks at every page that it is shown."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: set[str] = set()
        self.left: dict[str, list[str]] = {}

    def get(self, view: str, /, *args: Any, **query: str) -> Any:
        return self.look(self.client.get, reverse(view, args=args), query)

    def post(self, view: str, /, *args: Any, **data: Any) -> Any:
        return self.look(self.client.post, reverse(view, args=args), data)

    def look(self, ask: Callable[..., Any], url: str, data: Any) -> Any:
        self.seen.add(resolve(url).view_name)
        page = ask(url, data, headers={"accept-language": "de"}, follow=True)
        for at, _ in page.redirect_chain:
            self.seen.add(resolve(at.partition("?")[0]).view_name)
        if "<html" in page.text and '<html lang="de"' not in page.text:
            self.left[f"{page.status_code} {url}"] = ["lang"]
        if words := english_in(page.text):
            self.left[f"{ask.__name__} {page.status_code} {url}"] = words
        return page


@pytest.fixture
def reader(client: Client, marked: None) -> Reader:
    return Reader(client)


def test_every_address_that_lets_a_labeller_in_is_translated_or_english_on_purpose() -> None:
    labellers = {name for name, who in LETS_IN.items() if "a" in who}
    assert labellers - TRANSLATED - OF_ONESELF == FILES | ENGLISH
    assert not TRANSLATED - set(LETS_IN)


def test_who_comes_in_by_an_invitation_reads_german(project: Project, reader: Reader) -> None:
    _, secret = services.invite(
        project, role="annotator", uses=2, days=7, made_by=project.created_by
    )
    reader.get("annotations:sign_in")
    reader.post("annotations:sign_in", username="Ολγα", password="λάθος")
    reader.post("annotations:sign_in")
    reader.get("annotations:invitation", secret)
    refused = {"username": "Ολγα", "password1": "123", "password2": "12"}
    reader.post("annotations:invitation", secret, **refused)
    strong = "χαϊκού-βάτραχος-7"
    chosen = {"username": "Νίκος", "name": "Νίκος", "password1": strong, "password2": strong}
    reader.post("annotations:invitation", secret, **chosen)
    assert Membership.objects.filter(project=project, user__username="Νίκος").exists()
    reader.get("annotations:invitation", secret)
    reader.get("annotations:invitation", "nothing")
    reader.post("annotations:sign_out")
    assert not reader.left


def test_what_is_stored_about_a_labeller_and_their_account_are_german(
    project: Project, labeller: User, reader: Reader
) -> None:
    reader.client.force_login(labeller)
    for name in ("home", "account", "password", "two_factor", "own_data"):
        reader.get(f"annotations:{name}")
    reader.post("annotations:account", send="ab")
    reader.post("annotations:account", reset="1")
    reader.post("annotations:password", old_password="λάθος", new_password1="1", new_password2="2")
    reader.post("annotations:two_factor", begin="1", password="λάθος")
    reader.post("annotations:two_factor", begin="1", password="haiku-demo")
    reader.get("training:api_tokens")
    reader.post("training:api_tokens")
    reader.post(
        "training:api_tokens", name="Ωμέγα", scopes="models", projects=project.pk, days="30"
    )
    made = {"name": "Ωμέγα", "scopes": ["read", "label"], "projects": project.pk, "days": "30"}
    reader.post("training:api_tokens", **made)
    token = labeller.api_tokens.get()
    reader.post("training:revoke_api_token", token.pk)
    reader.get("training:erase_me")
    reader.post("training:erase_me", password="λάθος")
    reader.post("training:erase_me", password="haiku-demo")
    assert not reader.left


def test_a_labellers_work_and_its_history_are_german(
    project: Project, labeller: User, reader: Reader
) -> None:
    make_rating_scheme(project, questions=[OVERALL])
    Project.objects.filter(id=project.pk).update(
        own_prompts_allowed=True, own_conversations_allowed=True, shows_agreement=True
    )
    reader.client.force_login(labeller)
    held = {}
    for number, kind in enumerate(Kind):
        item = greek_item(project, kind, number)
        held[kind] = make_assignment(item, labeller)
        reader.get("annotations:assignment", held[kind].pk)
        reader.post("annotations:submit", held[kind].pk)
        reader.post("annotations:skip", held[kind].pk)
    talk = held[Kind.CONVERSATION]
    make_replies(talk, "ένα", "δύο")
    reader.get("annotations:assignment", talk.pk)
    reader.post("annotations:submit", talk.pk, turn=0, choice="left-better")
    reader.post("annotations:submit", talk.pk, turn=1, end="1")
    write = held[Kind.DEMONSTRATION]
    reader.post("annotations:submit", write.pk, text="x" * 20_001)
    reader.post("annotations:submit", write.pk, text="ένα\x00")
    reader.post("annotations:submit", write.pk, text="ένας βάτραχος")
    compare = held[Kind.COMPARISON]
    reader.post("annotations:submit", compare.pk, choice="left-better", reason="ναι")
    reader.post("annotations:skip", held[Kind.REVIEW].pk, reason="unclear")
    for assignment in (talk, write, compare, held[Kind.REVIEW]):
        reader.get("annotations:assignment", assignment.pk)
        reader.get("annotations:assignment_history", assignment.pk)
    reader.get("annotations:correct", compare.pk)
    reader.post("annotations:correct", compare.pk, choice="tie")
    reader.get("annotations:assignment_history", compare.pk)
    reader.post("annotations:undo", compare.pk)
    note = services.write_note(project, labeller, "Μπράβο", project.created_by)
    for name in ("project", "history", "guidelines", "own_prompt", "start_conversation", "done"):
        reader.get(f"annotations:{name}", project.pk)
    reader.post("annotations:read_note", note.pk)
    reader.post("annotations:own_prompt", project.pk)
    reader.post("annotations:start_conversation", project.pk)
    reader.get("annotations:guideline", project.pk, "comparison")
    reader.get("annotations:compare_guidelines", project.pk, "comparison", old="1", new="2")
    reader.get("annotations:acknowledge", GuidelineVersion.objects.latest("id").pk)
    reader.get("annotations:person", project.pk, labeller.pk)
    reader.get("annotations:statement", project.pk, labeller.pk)
    reader.get("annotations:statement", project.pk, labeller.pk, period="2020-03")
    reader.get("annotations:leave", project.pk)
    seen = {"detector": "one_sided", "p": 0.001, "n": 50, "evidence": "Chose A 50 times of 50."}
    AutomaticPause.objects.create(project=project, person=labeller, **seen)
    Membership.objects.filter(user=labeller).update(state="paused")
    reader.get("annotations:home")
    Membership.objects.filter(user=labeller).update(state="active")
    reader.post("annotations:rest", project.pk)
    reader.post("annotations:rest", project.pk, back="1")
    reader.post("annotations:leave", project.pk)
    assert not reader.left


MUCH_ALIKE = [
    pytest.param(kind, marks=pytest.mark.long)
    for kind in ("comparison", "rating", "review", "rewrite")
]


@pytest.mark.parametrize("kind", ["ranking", *MUCH_ALIKE])
def test_practice_and_test_are_german(
    kind: str, project: Project, labeller: User, reader: Reader
) -> None:
    make_rating_scheme(project, questions=[OVERALL])
    rule = make_rule(project, kind, questions=1, attempts=1)
    items = [greek_item(project, kind, number, purpose="gold", overlap=9) for number in range(2)]
    for item in items:
        item.gold = known_of(item)
        item.save(update_fields=["gold"])
    Membership.objects.create(project=project, user=User.objects.create_user("Ζωή"), role="owner")
    services.practise_with(items[0], "Έτσι είναι.")
    reader.client.force_login(labeller)
    at = (project.pk, kind)
    reader.get("annotations:qualify", *at)
    reader.post("annotations:begin_test", *at)
    for item in items:
        sent = {"item": item.pk}
        reader.post("annotations:qualify_answer", *at, **sent)
        answer: dict[str, Any] = {"outcome": "tie", "decision": "fix", "text": "πιο καλό"}
        answer |= {f"tier-{place}": 1 for place in (1, 2, 3, 4)}
        answer |= {f"rating-{place}-overall": 3 for place in (1, 2)}
        reader.post("annotations:qualify_answer", *at, **sent, **answer)
        reader.post("annotations:qualify_answer", *at, **sent, text="αργά")
        reader.post("annotations:begin_test", *at)
    reader.get("annotations:person", project.pk, labeller.pk)
    owner = project.created_by
    for attempt in project.test_attempts.filter(passed=None):
        verdict = services.Verdict(passes=False, reason="Όχι")
        given = {one.pk: verdict for one in attempt.answers.all()}
        services.judge_test(attempt, given, judged_by=owner)
    reader.get("annotations:qualify", *at)
    for decision in ("granted", "withdrawn"):
        services.decide_kind(
            project, labeller, kind, decision, reason="Γιατί έτσι.", decided_by=owner
        )
        for name in ("qualify", "project", "person"):
            where = at if name == "qualify" else at[:1]
            reader.get(f"annotations:{name}", *where, *([labeller.pk] if name == "person" else []))
    KindRule.objects.filter(id=rule.pk).update(is_tested=False)
    reader.get("annotations:qualify", *at)
    assert not reader.left


def test_the_arena_is_german(
    project: Project,
    labeller: User,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = scripted_door.install(monkeypatch)
    pair = [make_checkpoint(project, name=name) for name in ("άλφα", "βήτα")]
    door.texts = {one.pk: "ένας βάτραχος" for one in pair}
    reader.client.force_login(labeller)
    learning.set_arena(
        project,
        is_open=True,
        daily_limit=2,
        learns_from_arena=False,
        checkpoints=pair,
        changed_by=project.created_by,
    )
    reader.get("training:arena", project.pk)
    reader.post("training:arena", project.pk)
    reader.post("training:arena", project.pk, text="Ένα χαϊκού;")
    battle = project.battles.get()
    reader.get("training:battle", battle.pk)
    reader.post("training:vote", battle.pk)
    reader.post("training:report_in_battle", battle.pk, position="1")
    reader.post("training:report_in_battle", battle.pk, position="1", reason="false")
    reader.post("training:vote", battle.pk, outcome="tie")
    reader.post("training:praise_in_battle", battle.pk, position="3", good="yes")
    reader.post("training:praise_in_battle", battle.pk, position="1", good="yes")
    reader.post("training:take_back_vote", battle.pk)
    reader.get("training:battle", battle.pk)
    reader.post("training:vote", battle.pk, outcome="both_bad")
    reader.post("training:say_in_battle", battle.pk, text="")
    reader.post("training:vote", battle.pk, outcome="left")
    reader.get("training:arena", project.pk)
    assert not reader.left
