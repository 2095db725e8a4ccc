"""Labellers are spoken to in their language; a page is never in two."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.template import engines
from django.template.base import Node, NodeList, Template
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.test import Client
from django.utils import translation

from annotations.models import Kind, Membership, Project, User
from annotations.tests.factories import make_item

ROOT = settings.BASE_DIR
CATALOGUES = ROOT / "locale" / "de" / "LC_MESSAGES"
BLOCK = re.compile(r"{%\s*blocktranslate.*?{%\s*endblocktranslate\s*%}", re.S)
TAG = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.S)
CODE = re.compile(r"<(script|style|kbd|code|pre)\b.*?</\1>", re.S)
MARKUP = re.compile(r"<[^>]*>|&\w+;")
NAMES = re.compile(r"labelstudio-llm|page--\w+|labelling|\bAPI\b|\b[A-Z]\b")


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    with translation.override("en"):
        yield


def translated_templates() -> list[Path]:
    """Return the templates that speak more than one language: whoever translates one begins it."""
    every = (ROOT / "templates").rglob("*.html")
    return [path for path in every if "translate " in path.read_text()]


def entries(domain: str) -> dict[str, list[str]]:
    """Return what a catalogue's text says: translations by their English."""
    found = {}
    for block in (CATALOGUES / f"{domain}.po").read_text().split("\n\n"):
        words: dict[str, str] = {}
        for line in block.splitlines():
            if match := re.match(r'(msg\w+(?:\[\d\])?) (".*")$', line):
                words[match[1]] = ast.literal_eval(match[2])
                last = match[1]
            elif line.startswith('"'):
                words[last] += ast.literal_eval(line)
        if english := words.get("msgid"):
            english = "\x04".join(filter(None, (words.get("msgctxt"), english)))
            found[english] = [said for key, said in words.items() if key.startswith("msgstr")]
    return found


def test_no_text_of_a_translated_template_is_left_in_english() -> None:
    left = {}
    for path in translated_templates():
        text = MARKUP.sub(" ", CODE.sub(" ", TAG.sub(" ", BLOCK.sub(" ", path.read_text()))))
        if words := re.findall(r"[A-Za-z]{2,}", NAMES.sub(" ", text)):
            left[path.name] = words
    assert not left


def test_dates_are_written_as_each_language_writes_them() -> None:
    bare = re.compile(r'\|date:"(?!c"|H:i)[^"]*"')
    left = {
        path.name: found
        for path in translated_templates()
        if (found := bare.findall(path.read_text()))
    }
    assert not left, 'Write |date:_("j M Y"): the catalogue has its German.'


def said_by(nodes: NodeList) -> Iterator[str]:
    for node in nodes.get_nodes_by_type(Node):
        if isinstance(node, TranslateNode) and node.filter_expression.var.literal:
            yield node.filter_expression.var.literal
        if isinstance(node, BlockTranslateNode):
            yield node.render_token_list(node.singular)[0]


def test_everything_that_templates_and_code_say_is_in_german() -> None:
    german, said = entries("django"), set()
    for path in translated_templates():
        template: Template = engines["django"].from_string(path.read_text()).template  # type: ignore[attr-defined]
        said |= set(said_by(template.nodelist))
        said |= set(re.findall(r'_\("([^"]+)"\)', path.read_text()))
    sources = [*(ROOT / "annotations").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    for path in sources:
        text = path.read_text()
        if "gettext" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                name, first = node.func.id, node.args[0]
                marks = name == "_" or name.startswith(("gettext", "ngettext"))
                if marks and isinstance(first, ast.Constant):
                    said.add(first.value)
    assert not {english for english in said if not all(german.get(english, [""]))}


def test_everything_that_scripts_say_is_in_german() -> None:
    german, said = entries("djangojs"), set()
    for path in (ROOT / "static" / "js").glob("*.js"):
        said |= set(re.findall(r'\b(?:gettext|say)\("([^"]+)"', path.read_text()))
    assert not {english for english in said if not all(german.get(english, [""]))}


def test_scripts_of_translated_pages_say_nothing_but_through_the_catalogue() -> None:
    loaded, found = set(), set()
    for path in translated_templates():
        found |= set(re.findall(r"js/(\w+\.js)", path.read_text()))
    while found:
        loaded |= found
        texts = "".join((ROOT / "static" / "js" / name).read_text() for name in found)
        found = set(re.findall(r'"\./(\w+\.js)"', texts)) - loaded
    assert {"arena.js", "label.js", "words.js"} <= loaded
    sentence = re.compile(r'(?<![\w.])(\w+)?\(?\s*(["`])([A-Z][\w\']*[,:.]? [^"`]*[a-z][^"`]*)\2')
    bare = {}
    for name in loaded:
        code = re.sub(r"//.*|/\*.*?\*/", "", (ROOT / "static" / "js" / name).read_text())
        said = [
            words for call, _, words in sentence.findall(code) if call not in ("gettext", "say")
        ]
        if said:
            bare[name] = said
    assert not bare


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_the_compiled_catalogue_is_in_step_with_its_text(domain: str) -> None:
    assert ", fuzzy" not in (CATALOGUES / f"{domain}.po").read_text()
    with (CATALOGUES / f"{domain}.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {}
    for key, words in compiled.items():
        if key:
            found.setdefault(key[0] if isinstance(key, tuple) else key, []).append(words)
    assert found == entries(domain)


def test_a_browser_that_asks_for_german_signs_in_in_german(db: None, client: Client) -> None:
    page = client.get("/sign-in/", headers={"accept-language": "de-CH,de;q=0.9"})
    assert '<html lang="de" dir="ltr">' in page.text
    assert "Bringen Sie einem Sprachmodell etwas bei" in page.text


def test_the_language_that_was_chosen_goes_before_what_the_browser_asks_for(
    db: None, client: Client
) -> None:
    chosen = client.post("/account/language/", {"language": "de", "next": "/sign-in/"})
    assert chosen["Location"] == "/sign-in/"
    page = client.get("/sign-in/", headers={"accept-language": "en"})
    assert "Anmelden" in page.text


def test_the_work_page_is_german_and_a_page_for_owners_english(db: None, client: Client) -> None:
    owner = User.objects.create_user("olga")
    project = Project.objects.create(name="Haiku", created_by=owner)
    membership = Membership.objects.create(project=project, user=owner, role="owner")
    make_item(project, Kind.DEMONSTRATION)
    client.force_login(owner)
    german = {"accept-language": "de"}
    page = client.post(f"/projects/{membership.project_id}/start/", follow=True, headers=german)
    assert "Schreiben Sie eine Antwort auf diesen Prompt" in page.text
    assert "Entwurf gespeichert" in page.text
    assert "Skip" not in re.sub(r"<script.*?</script>", "", page.text, flags=re.S)
    owners = client.get(f"/projects/{membership.project_id}/settings/", headers=german)
    assert '<html lang="en"' in owners.text
    assert "Meine" not in owners.text
