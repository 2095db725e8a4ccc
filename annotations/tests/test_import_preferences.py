"""Real votes in, by command: all of a file or nothing of it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from annotations import exports
from annotations.models import Annotation, Item, Prompt, User
from annotations.selectors import agreement_overview
from annotations.tests.algorithms.test_agreement import shared_data


def run(*arguments: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_preferences", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        err.write(f"{error}\n")
    return out.getvalue(), err.getvalue()


def test_it_imports_690_real_votes_on_168_pairs_once(project):
    path = shared_data("haiku/llmfao_haiku_pairs.jsonl")
    out, err = run("Haiku", path)
    assert err == ""
    assert "Imported 690 votes on 168 new pairs" in out
    assert "Agreement, Compare: 168 judged" in out
    assert "alpha" in out
    out, _ = run(project.pk, path)
    assert "Imported 0 votes on 0 new pairs by 0 new people" in out
    assert Annotation.objects.count() == 690
    assert Prompt.objects.count() == 1
    counts = exports.preference_counts(project.pk)
    assert counts.comparisons == 690
    assert counts.pairs == sum(1 for _ in exports.preferences(project.pk)) == 690 - counts.ties
    (line,) = agreement_overview(project).lines
    assert line.labels == 690
    assert line.alpha.low < line.alpha.value < line.alpha.high


def test_it_lists_every_bad_line_and_imports_nothing(project, tmp_path):
    vote = {"prompt": "A haiku.", "left": "a", "right": "b", "worker": 1, "winner": "left"}
    lines = [json.dumps(vote | {"worker": number}) for number in range(2000)]
    lines[1873], lines[1900] = "{", '{"prompt": 1}'
    path = tmp_path / "votes.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    out, err = run("Haiku", path)
    assert out == ""
    assert "Line 1,874" in err
    assert "Line 1,901" in err
    assert "Nothing was imported: 2 bad lines" in err
    assert not Item.objects.exists()
    assert not User.objects.filter(username__startswith="imported-").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Nothing", "file"], "There is no project Nothing. There are: "),
        (["Haiku", "/no/such/file"], "can't be read"),
        (["Haiku", "/no/such/file", "--as-user=nobody"], "There is no user nobody"),
    ],
)
def test_it_says_what_is_wrong_with_the_arguments(project, arguments, sentence):
    out, err = run(*arguments)
    assert out == ""
    assert sentence in err
