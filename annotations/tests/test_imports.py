"""Files of every kind come in whole, once, and go on where they stopped."""

from __future__ import annotations

import io
import json
import resource
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyarrow.ipc
import pyarrow.parquet
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotations import exports, queue, services
from annotations.importers import Place, UnreadableFile, containers, look_at, read_records
from annotations.importers.containers import read_rows
from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    HeldOut,
    Import,
    Item,
    Prompt,
    RankedCompletion,
    RatingAnswer,
    Rewrite,
    User,
)
from annotations.selectors import agreement_overview
from annotations.services import imports as writing
from annotations.signals import import_waits
from annotations.tests.algorithms.test_agreement import shared_data

PAIR = {"prompt": "A haiku", "left": "a\nfrog", "right": "b", "winner": "left", "annotator": "w1"}


def lines(*rows: Any) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def bring(project, content: bytes, name: str = "file", **changes: Any) -> Import:
    brought = services.bring_file(project, name, [content], project.created_by)
    if changes:
        reading = {
            "format": brought.format,
            "columns": brought.columns,
            "annotator": brought.annotator,
            "asks": True,
        }
        brought = services.change_reading(brought, **{**reading, **changes})
    services.start_import(brought)
    return services.run_import(brought)


def state_of(database: Sequence[Any] = (Prompt, Completion, Item, Annotation)) -> list[int]:
    return [model.objects.count() for model in database]


def said_in(path: Path) -> list[str]:
    """Return what is said in a file, by its kind, and `bad` for each bad line."""
    sample = look_at(path)
    found = []
    for read in read_records(path, sample.container, sample.reading):
        found += ["bad"] if read.error else []
        found += [type(one).__name__ for record in read.records for one in record.said]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("haiku/llmfao_haiku_pairs.jsonl", {"Chosen": 690}),
        ("gsm8k/test-300.jsonl", {"Written": 300}),
        ("pandalm/testset-v1.json", {"Chosen": 993, "bad": 6}),
        ("oasst/en_100_tree.jsonl", {"Ordered": 212, "Written": 247}),
        ("self_instruct/seed_tasks.jsonl", {"Written": 175}),
    ],
)
def test_it_recognises_public_files_and_reads_all_of_them(name, expected):
    found = said_in(shared_data(name))
    assert {one: found.count(one) for one in set(found)} == expected


def test_it_imports_hh_dialogues_once(project, tmp_path):
    content = b"".join(shared_data("hh_rlhf/harmless-base-1200.jsonl").open("rb").readlines()[:40])
    assert bring(project, content).state == Import.State.DONE
    before = state_of()
    assert before[3] == Comparison.objects.count() == 40
    again = bring(project, content)
    assert (again.written["duplicates"], again.written.get("annotations", 0)) == (40, 0)
    assert state_of() == before
    row = next(iter(exports.preferences(project.pk)))
    assert row["prompt"][-1]["role"] == "user"


def test_690_real_votes_come_in_once(project):
    content = shared_data("haiku/llmfao_haiku_pairs.jsonl").read_bytes()
    assert bring(project, content).written["annotations"] == 690
    assert bring(project, content).written["duplicates"] == 690
    assert state_of((Prompt, Annotation)) == [1, 690]
    counts = exports.preference_counts(project.pk)
    assert counts.pairs == sum(1 for _ in exports.preferences(project.pk)) == 690 - counts.ties
    (line,) = agreement_overview(project).lines
    assert line.labels == 690
    assert line.alpha.low < line.alpha.value < line.alpha.high


def test_later_votes_on_a_pair_join_it_whichever_side_was_left(project):
    models = {"left_model": "one", "right_model": "two"}
    swapped = {"left": "b", "right": "a\nfrog", "left_model": "two", "right_model": "one"}
    bring(project, lines(PAIR | models))
    bring(project, lines(PAIR | models, PAIR | swapped | {"annotator": "odd name \u202e"}))
    item = Item.objects.get()
    assert (item.overlap, item.open_slots, item.annotations.count()) == (2, 0, 2)
    first, second = Comparison.objects.order_by("pk")
    assert (first.left, first.right) == (second.right, second.left)
    bring(project, lines(PAIR | models | {"left_model": "three"}))
    assert Item.objects.count() == 2
    people = User.objects.filter(username__startswith=f"imported-{project.pk}-")
    assert [one.is_active or one.has_usable_password() for one in people] == [False, False]
    assert queue.lease_next(people[0], project) is None


def test_a_conversation_stays_in_the_split_of_its_beginning(project):
    turns = [("user", "Frogs?"), ("assistant", "Yes."), ("user", "How many?"), ("assistant", "9")]
    messages = [{"role": role, "content": content} for role, content in turns]
    bring(project, lines({"messages": messages[:2]}, {"messages": messages}))
    assert len(set(Prompt.objects.values_list("split", flat=True))) == 1


def test_bad_lines_are_named_and_nothing_is_written_until_they_are_left_out(project):
    content = lines(PAIR, {**PAIR, "winner": "maybe"}) + b"\n\xff\n" + lines({**PAIR, "left": "c"})
    brought = bring(project, content)
    assert brought.state == Import.State.REFUSED
    assert [bad["line"] for bad in brought.bad] == [2, 3]
    assert "left, right, tie or both_bad" in brought.bad[0]["message"]
    assert state_of() == [0, 0, 0, 0]
    services.start_import(brought, leave_out_bad=True)
    assert services.run_import(brought).written["annotations"] == 2


def test_a_killed_import_goes_on_behind_the_last_whole_batch(project, monkeypatch):
    monkeypatch.setattr(writing, "BATCH_ROWS", 3)
    rows = [{**PAIR, "left": f"haiku {number}"} for number in range(10)]
    brought = services.bring_file(project, "votes.jsonl", [lines(*rows)], project.created_by)
    services.start_import(brought)
    services.continue_import(brought.pk, seconds=0)  # claims it, and has no time left
    kept, calls = writing._save, []

    def die_in_the_second_batch(brought: Import) -> None:
        calls.append(brought.state)
        if calls.count(Import.State.WRITING) == 3:  # the first is the turn from checking
            raise KeyboardInterrupt
        kept(brought)

    monkeypatch.setattr(writing, "_save", die_in_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        services.run_import(brought)
    assert Annotation.objects.count() == 3
    monkeypatch.setattr(writing, "_save", kept)
    assert not services.continue_import(brought.pk, seconds=9), "held by the one that was killed"
    Import.objects.update(held_until=timezone.now() - writing.HELD_FOR)
    assert services.run_import(brought).state == Import.State.DONE
    assert Annotation.objects.count() == 10


def test_who_was_superseded_writes_nothing(project, monkeypatch):
    brought = services.bring_file(project, "votes.jsonl", [lines(PAIR)], project.created_by)
    services.start_import(brought)
    kept = writing._go_to

    def stopped_meanwhile(mine: Import, place: Place) -> None:
        if mine.state == Import.State.WRITING and place.rows:
            services.cancel_import(mine)
        kept(mine, place)

    monkeypatch.setattr(writing, "_go_to", stopped_meanwhile)
    assert services.run_import(brought).state == Import.State.CANCELLED
    assert state_of() == [0, 0, 0, 0]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the imports that a worker is told of; there is no worker."""
    heard: list[int] = []

    def hear(*, import_id: int, **_: Any) -> None:
        heard.append(import_id)

    monkeypatch.setattr(import_waits, "receivers", [])
    import_waits.connect(hear, weak=False)
    return heard


def test_a_small_file_is_imported_where_it_is_started(
    project, told, django_capture_on_commit_callbacks
):
    brought = services.bring_file(project, "votes.jsonl", [lines(PAIR)], project.created_by)
    with django_capture_on_commit_callbacks(execute=True):
        services.start_import(brought)
    brought.refresh_from_db()
    assert (brought.state, brought.held_until, told) == (Import.State.DONE, None, [])
    assert Annotation.objects.count() == 1


@pytest.mark.parametrize("hindrance", ["large", "packed", "slow", "another"])
def test_whatever_is_not_done_at_once_a_worker_is_told_of(
    project, told, hindrance, monkeypatch, django_capture_on_commit_callbacks
):
    packed = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([PAIR]), packed)
    content = packed.getvalue() if hindrance == "packed" else lines(PAIR)
    brought = services.bring_file(project, "votes", [content], project.created_by)
    assert brought.size < writing.AT_ONCE_BYTES
    with ExitStack() as stack:
        match hindrance:
            case "packed":
                pass
            case "large":
                monkeypatch.setattr(writing, "AT_ONCE_BYTES", brought.size - 1)
            case "slow":
                monkeypatch.setattr(writing, "AT_ONCE_S", 0)
            case _:
                stack.enter_context(writing._at_once)
        with django_capture_on_commit_callbacks(execute=True):
            services.start_import(brought)
    assert told == [brought.pk]
    assert services.continue_import(brought.pk, seconds=9) is False, "nobody holds it"
    assert Annotation.objects.count() == 1


@pytest.mark.parametrize("container", ["jsonl", "json", "csv"])
def test_reading_goes_on_at_any_place(tmp_path, container):
    rows = [{"prompt": f"A {n}\n“{{[\\”", "completion": "x" * n} for n in range(1, 9)]
    text = {
        "jsonl": "\ufeff" + "\r\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows, indent=2, ensure_ascii=False),
        "csv": "prompt;completion\r\n"
        + "".join(f'"{row["prompt"]}";{row["completion"]}\r\n' for row in rows),
    }[container]
    path = tmp_path / "file"
    path.write_bytes(text.encode())
    sample = look_at(path)
    assert sample.container == container
    whole = list(read_records(path, container, sample.reading))
    assert [len(read.records[0].said[0].text) for read in whole] == list(range(1, 9))
    for number, read in enumerate(whole, start=1):
        rest = list(read_records(path, container, sample.reading, read.after))
        assert rest == whole[number:]


def test_a_small_parquet_file_of_large_texts_is_never_whole_in_memory(tmp_path: Path) -> None:
    """One text of a megabyte, 256 times: packed, some kilobytes."""
    large = pyarrow.array(["x" * 2**20])
    same = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 256, pyarrow.int32()), large)
    table = pyarrow.table({"prompt": same})
    pyarrow.parquet.write_table(
        table, tmp_path / "bomb.parquet", compression="zstd", store_schema=False
    )
    assert (tmp_path / "bomb.parquet").stat().st_size < 2**17
    del table, same, large
    before = pyarrow.total_allocated_bytes()
    rows = most = 0
    for row in read_rows(tmp_path / "bomb.parquet", "parquet"):
        rows, most = row.after.rows, max(most, pyarrow.total_allocated_bytes() - before)
    assert rows == 256
    assert most < 64 * 2**20


def test_a_batch_that_is_packed_to_nearly_nothing_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = pyarrow.record_batch({"prompt": ["x" * 2**20] * 2})
    for name, write in (("s", pyarrow.ipc.new_stream), ("f", pyarrow.ipc.new_file)):
        unpacked = io.BytesIO()
        with write(unpacked, batch.schema) as writer:
            writer.write_batch(batch)
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train/data.arrow", unpacked.getvalue())
        assert (tmp_path / name).stat().st_size < 2**14
        assert len(list(read_rows(tmp_path / name, "arrow"))) == 2
    monkeypatch.setattr(containers, "MAX_BATCH_BYTES", 2**20)
    for name in "sf":
        with pytest.raises(UnreadableFile, match="Save the data set again"):
            list(read_rows(tmp_path / name, "arrow"))


@pytest.mark.parametrize(
    "content",
    [
        ",prompt,completion\n0,A haiku,a frog\n",
        "prompt,completion,\nA haiku,a frog,\n",
        '"completion";"prompt";"notes, tags, more"\na frog;A haiku;\n',
        "\ufeffprompt;completion\r\nA haiku;a frog\r\n\r\n",
    ],
)
def test_it_reads_csv_as_pandas_and_spreadsheets_write_it(project, content):
    bring(project, content.encode())
    [row] = exports.demonstrations(project.pk)
    assert (row["prompt"][0]["content"], row["completion"][0]["content"]) == ("A haiku", "a frog")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[\n{"prompt": "a"},\n{"prompt"', (3, "ends in the middle")),
        (b'[\n"a",\n"b"\n]\n', (2, "no object")),
        (b'[{"prompt": "a"}]\n\n["b"]\n\n', (3, "follows the array")),
    ],
)
def test_what_is_wrong_in_an_array_is_found_where_it_begins(tmp_path, content, expected):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    found = [read.error for read in read_records(path, "json", look_at(path).reading)]
    [error] = [error for error in found if error]
    assert (error.line, expected[1] in error.message) == (expected[0], True)


def test_bad_lines_are_named_where_nothing_is_left_without_them(project):
    brought = services.bring_file(project, "a.jsonl", [b'{"prompt": ""}\n'], project.created_by)
    services.start_import(brought, leave_out_bad=True)
    brought = services.run_import(brought)
    assert (brought.state, brought.bad_count) == (Import.State.FAILED, 1)
    assert "empty" in brought.bad[0]["message"]


def test_what_was_deleted_does_not_come_in_and_equal_ranks_are_a_tie(project):
    def message(text: str, role: str = "assistant", **more: Any) -> dict[str, Any]:
        return {"role": role, "text": text, "replies": [], **more}

    tied = [message(text, rank=0) for text in ("a", "b")]
    tree = message("Tied", "prompter", replies=[*tied, message("c", rank=1, deleted=True)])
    gone = message("Deleted", "prompter", deleted=True, replies=[message("d")])
    rows = [{"message_tree_id": str(n), "prompt": one} for n, one in enumerate((tree, gone))]
    bring(project, lines(*rows))
    assert [prompt.text for prompt in Prompt.objects.all()] == ["Tied"]
    assert ranked() == [("a", 0), ("b", 0)]
    assert not list(exports.demonstrations(project.pk))


def test_whole_numbers_that_pandas_made_floats_are_whole(project):
    table = pyarrow.table({"prompt": ["a", "b"], "id": [7.0, None]})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    bring(project, file.getvalue())
    assert list(Prompt.objects.order_by("id").values_list("external_id", flat=True)) == ["7", ""]


def test_it_reads_parquet_and_data_sets_saved_by_datasets(project, tmp_path):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"prompt": ["a", "b", "c"], "completion": ["x\ny", "z", "w"]})
    parquet.write_table(table, tmp_path / "file.parquet", row_group_size=2)
    assert said_in(tmp_path / "file.parquet") == ["Written"] * 3
    sample = look_at(tmp_path / "file.parquet")
    rest = read_records(tmp_path / "file.parquet", "parquet", sample.reading, Place(rows=2))
    assert [read.line for read in rest] == [3]

    folder = tmp_path / "set" / "train"
    folder.mkdir(parents=True)
    with pyarrow.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table)
    assert said_in(tmp_path / "set") == ["Written"] * 3
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(folder / "data-00000-of-00001.arrow", "../../set/train/data.arrow")
    assert bring(project, packed.getvalue()).written["annotations"] == 3
    assert Completion.objects.filter(text="x\ny").exists()


TASK = {"prompt": "A haiku", "answer1": "old\npond", "answer2": "new pond"}
LIST = {
    "prompt": "Rank",
    "items": [{"id": f"llm_{number}", "body": f"haiku {number}"} for number in range(3)],
}


def task(data: dict[str, Any], type: str, value: Any, **changes: Any) -> dict[str, Any]:
    result = {"from_name": "q", "to_name": "q", "type": type, "value": value, **changes}
    return {"id": 7, "data": data, "annotations": [{"completed_by": 3, "result": [result]}]}


def ranked() -> list[tuple[str, int]]:
    return list(RankedCompletion.objects.values_list("completion__text", "tier").order_by("id"))


def test_label_studio_pairs_come_in_with_reason_and_time(project):
    one = task(TASK, "pairwise", {"selected": "right"})
    one["annotations"][0]["result"].append(
        {"from_name": "why", "to_name": "q", "type": "textarea", "value": {"text": ["fresher"]}}
    )
    one["annotations"][0]["lead_time"] = 12.5
    one["annotations"].append({"completed_by": 4, "was_cancelled": True, "result": []})
    assert bring(project, json.dumps([one]).encode()).format == "label_studio"
    annotation = Annotation.objects.get()
    assert (annotation.reason, annotation.wall_ms) == ("fresher", 12500)
    assert annotation.comparison.outcome == "right"
    assert annotation.comparison.left.text == "old\npond"


@pytest.mark.parametrize(
    ("ranker", "expected"),
    [
        (["llm_2", "llm_0", "llm_1"], [("haiku 2", 0), ("haiku 0", 1), ("haiku 1", 2)]),
        ({"rank": ["llm_1", "llm_0"]}, [("haiku 1", 0), ("haiku 0", 1)]),
        (
            {"_": ["llm_2"], "biased_results": ["llm_0"], "relevant_results": ["llm_1"]},
            [("haiku 1", 0), ("haiku 0", 1)],
        ),
    ],
)
def test_label_studio_rankers_come_in_in_all_three_shapes(project, ranker, expected):
    brought = bring(project, json.dumps([task(LIST, "ranker", {"ranker": ranker})]).encode())
    assert brought.state == Import.State.DONE, brought.bad or brought.problem
    assert ranked() == expected


def test_buckets_of_label_studio_have_no_order_but_that_of_their_names(project):
    buckets = {"ok": ["llm_0"], "best": ["llm_1"], "_": ["llm_2"], "empty": []}
    brought = bring(project, json.dumps([task(LIST, "ranker", {"ranker": buckets})]).encode())
    assert "is the better bucket is not said" in brought.bad[0]["message"]
    assert not ranked()
    tiers = {"tier_2": ["llm_0"], "tier_1": ["llm_1", "llm_2"]}
    bring(project, json.dumps([task(LIST, "ranker", {"ranker": tiers})]).encode())
    assert ranked() == [("haiku 1", 0), ("haiku 2", 0), ("haiku 0", 1)]


def test_label_studio_ratings_choices_and_rewrites_come_in(project):
    data = {"prompt": "A haiku", "answer": "old pond"}
    rated = task(data, "rating", {"rating": 4}, from_name="Quality", to_name="answer")
    rated["annotations"][0]["result"].append(
        {
            "from_name": "flags",
            "to_name": "answer",
            "type": "choices",
            "value": {"choices": ["PII"]},
        }
    )
    written = task(data, "textarea", {"text": "new pond"})
    written["id"] = 8
    brought = bring(project, json.dumps([rated, written]).encode())
    assert brought.state == Import.State.DONE, brought.bad or brought.problem
    answers = dict(RatingAnswer.objects.values_list("question", "value"))
    assert answers == {"quality": 4, "pii": 1}
    assert Rewrite.objects.get().original.text == "old pond"


def test_label_studio_s_own_assessment_of_chats_comes_in(project):
    """Its template has the answer as the last message, and a yes or no for each question."""
    turns = [("user", "A haiku?"), ("assistant", "No."), ("user", "Why?"), ("assistant", "Tired.")]
    messages = [{"role": role, "content": content} for role, content in turns]
    about = {"to_name": "dialogue"}
    one = task({"messages": messages}, "rating", {"rating": 6}, from_name="likert_scale", **about)
    one["annotations"][0]["result"] += [
        {"from_name": name, "type": "choices", "value": {"choices": [choice]}, **about}
        for name, choice in (("hallucination", "No"), ("fails_to_follow", "Yes"))
    ]
    brought = bring(project, json.dumps([one]).encode())
    assert brought.state == Import.State.DONE, brought.bad or brought.problem
    answers = dict(RatingAnswer.objects.values_list("question", "value"))
    assert answers == {"likert_scale": 6, "hallucination": 0, "fails_to_follow": 1}
    completion = Completion.objects.get()
    assert (completion.text, completion.prompt.messages) == ("Tired.", messages[:-1])


def test_predictions_are_kept_and_never_learned_from(project):
    one = {
        "data": TASK,
        "predictions": [
            {
                "model_version": "judge-1",
                "result": [{"type": "pairwise", "value": {"selected": "left"}, "from_name": "q"}],
            }
        ],
    }
    bring(project, json.dumps([one]).encode())
    assert Comparison.objects.count() == HeldOut.objects.count() == 1
    assert list(exports.preferences(project.pk)) == []


@pytest.mark.parametrize(
    "responses",
    [
        {"best": [{"value": "response2", "user_id": "u1"}]},
        [{"user_id": "u1", "status": "submitted", "values": {"best": {"value": "response2"}}}],
        {
            "order": [
                {
                    "value": [
                        {"value": "response-2", "rank": 1},
                        {"value": "response-1", "rank": 2},
                    ],
                    "user_id": "u1",
                }
            ]
        },
    ],
)
def test_argilla_records_come_in(project, responses):
    record = {
        "id": "r1",
        "fields": {"instruction": "A haiku", "response1": "a", "response2": "b"},
        "responses": responses,
        "suggestions": {},
    }
    brought = bring(project, lines(record))
    assert brought.format == "argilla"
    (row,) = exports.preferences(project.pk)
    assert row["chosen"][0]["content"] == "b"
    assert Prompt.objects.get().external_id == "r1"


THREE = {"prompt": "A haiku", "response-1": "a", "response-2": "b", "response-3": "c"}
BEST_FIRST = ["response-3", "response-1", "response-2"]
RANKED_BEFORE = [{"value": name, "rank": n} for n, name in enumerate(BEST_FIRST, start=1)]
HANDED_IN = {"user_id": ["u1", "u2"], "status": ["submitted", "draft"]}


@pytest.mark.parametrize(
    "record",
    [
        {"fields": THREE, "responses": {"order": [{"value": BEST_FIRST, "user_id": "u1"}]}},
        {
            **THREE,
            "order.responses": [BEST_FIRST, BEST_FIRST[::-1]],
            "order.responses.users": HANDED_IN["user_id"],
            "order.responses.status": HANDED_IN["status"],
            "note.responses": None,
            "note.suggestion": None,
            "note.suggestion.agent": None,
        },
        {
            **THREE,
            "order": {**HANDED_IN, "value": [RANKED_BEFORE, RANKED_BEFORE[:1]]},
            "metadata": "{}",
        },
        {
            **THREE,
            "order": [{"user_id": "u1", "value": RANKED_BEFORE, "status": "submitted"}],
            "order-suggestion": None,
            "order-suggestion-metadata": {"type": None, "score": None, "agent": None},
        },
    ],
    ids=["2 as JSON", "2 as a data set", "1 in columns", "1 as a data set"],
)
def test_argilla_rankings_of_many_come_in_however_they_were_exported(project, record):
    brought = bring(project, lines(record | {"id": "r1", "_server_id": "s1", "suggestions": {}}))
    assert (brought.format, brought.state) == ("argilla", Import.State.DONE), brought.bad
    assert ranked() == [("c", 0), ("a", 1), ("b", 2)]
    assert Prompt.objects.get().external_id == "r1"


def test_a_table_with_a_column_for_each_of_many_is_ranked(project):
    names = [f"answer {number}" for number in range(1, 5)]
    rows = ["question,gold," + ",".join(names), "A haiku,,a,b,c,d", "Another,,a,b,,"]
    brought = bring(
        project,
        "\n".join(rows).encode(),
        columns={"prompt": "question", "left": names[0], "right": names[1]},
    )
    assert brought.state == Import.State.DONE, brought.bad
    shown = [(one.kind, one.completions.count()) for one in Item.objects.order_by("id")]
    assert shown == [("ranking", 4), ("comparison", 2)]


def argilla(fields: dict[str, str], **answers: str) -> dict[str, Any]:
    values = {question: {"value": answer} for question, answer in answers.items()}
    return {"fields": fields, "responses": [{"values": values}], "metadata": {}}


def test_argilla_labels_are_no_texts(project):
    pair = {"instruction": "A haiku", "response-1": "a", "response-2": "b"}
    one = {"instruction": "A haiku", "response": "a frog"}
    said = [argilla(one, safe="no", topic="nature"), argilla(one, mended="a b")]
    for rows in ([argilla(pair, best="response-2")], said):
        assert (brought := bring(project, lines(*rows))).state == Import.State.DONE, brought.bad
    assert Comparison.objects.get().outcome == "right"
    assert dict(RatingAnswer.objects.values_list("question", "value")) == {"safe": 0, "nature": 1}
    assert Rewrite.objects.get().completion.text == "a b"
    [bad] = bring(project, lines(argilla(THREE, best="response-3"))).bad
    assert "names one of 3" in bad["message"]


def test_what_nobody_judged_is_asked(project):
    rows = [
        {"prompt": "one"},
        {"prompt": "two", "completions": ["a", "b", "c"]},
        {"prompt": "three", "completions": ["a", "b"]},
    ]
    for number, row in enumerate(rows):
        bring(project, lines(row), f"{number}.jsonl")
    kinds = Item.objects.order_by("id").values_list("kind", "open_slots")
    assert list(kinds) == [("demonstration", 1), ("ranking", 1), ("comparison", 1)]
    bring(project, lines(rows[1]))
    assert Item.objects.count() == 3


JUNK = [
    b"\x00\x01\x02",
    b"{",
    b"[",
    b"[{]",
    b'[{"prompt": "a"}, 5, {"prompt": "b"}]',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"prompt": NaN}',
    b'"prompt"\n"' + b"x" * 3_000_000,
    b"prompt,prompt\na,b",
    b",\n,",
    b"PAR1 and nothing more",
    b"PK\x03\x04 and nothing more",
    b"\xff\xff\xff\xff\x00\x01",
    b'{"data": {"prompt": "a"}, "annotations": [{"result": [{"type": "video"}]}]}',
    b'{"data": {"prompt": "a"}, "annotations": [{"result": {"a": 1}}]}',
    b'{"message_tree_id": "1", "prompt": {"role": "prompter", "replies": [[]]}}',
    b'{"data": {"prompt": "a", "items": [{"id": "b", "body": "b"}, {"id": "c", "body": "c"}]}, '
    b'"annotations": [{"result": [{"type": "ranker", "value": {"ranker": ["b", "b", "c"]}}]}]}',
    b"prompt,completion\ra,b\r",
    b'{"fields": {"prompt": "a"}, "responses": 3}',
    b'{"chosen": "\\n\\nHuman: a", "rejected": "\\n\\nHuman: b"}',
    b'{"prompt": "a", "completion": "b\\u0000"}',
    b'{"prompt": "a", "completions": [{"a": 1}, [2]], "ranks": [1, "2"]}',
    b'{"prompt": "a", "completion": "b", "label": "perhaps"}',
    b'{"prompt": "a", "left": "b", "right": "c", "votes": [{"winner": "tie"}, {"winner": "tie"}]}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}',
    b'{"messages": [{"role": "user", "content": "a"}, '
    b'{"role": "assistant", "content": "b", "tool_calls": [{"id": "c"}]}]}',
    b'{"chosen": "Human: a\\n\\nAssistant: b", "rejected": "Preamble\\n\\nHuman: a'
    b'\\n\\nAssistant: c"}',
    b'{"annotation_id": 1, "said": {}, "shown_order": [], "superseded_by": null, "prompt": "a", '
    b'"completions": [{"text": "b"}]}',
]


@pytest.mark.parametrize("content", JUNK, ids=range(len(JUNK)))
def test_junk_is_refused_in_words_and_leaves_nothing(project, content):
    with suppress(services.ServiceError):  # refused when it is brought
        brought = bring(project, content)
        assert brought.state in (Import.State.REFUSED, Import.State.FAILED)
        assert brought.bad or brought.problem
        assert "should not have" not in brought.problem
    assert state_of() == [0, 0, 0, 0]


def test_a_full_disk_is_told_and_nothing_stays(project):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(services.ServiceError, match="disk of the server is full"):
            services.bring_file(project, "f.jsonl", [b"x" * 60_000] * 3, project.created_by)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not Import.objects.exists()
    assert not [path for path in Path(settings.ARTIFACTS_ROOT).rglob("*") if path.is_file()]
    assert bring(project, b'{"prompt": "a"}').state == Import.State.DONE


def packed(content: bytes, flags: int = 0) -> bytes:
    """Return a ZIP with one Arrow file; with the flag 1 it has a password."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/data.arrow", content)
    whole = bytearray(file.getvalue())
    whole[6] |= flags
    whole[whole.rfind(b"PK\x01\x02") + 8] |= flags
    return bytes(whole)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda parquet, arrow: parquet.replace(b"a frog", b"\xff frog"),
        lambda parquet, arrow: arrow.replace(b"a frog", b"\xff frog"),
        lambda parquet, arrow: packed(arrow, flags=1),
    ],
)
def test_a_damaged_file_is_refused_in_words(project, break_it):
    table = pyarrow.Table.from_pylist([{"prompt": "a frog", "completion": "b"}])
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pyarrow.parquet.write_table(table, parquet, compression="none", use_dictionary=False)
    with pyarrow.ipc.new_stream(arrow, table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(services.ServiceError):
        bring(project, break_it(parquet.getvalue(), arrow.getvalue()))


def test_what_was_judged_or_is_of_a_model_is_no_ideal_answer(project):
    row = {"prompt": "A haiku", "completion": "a frog"}
    bring(project, lines(row | {"label": True}, row | {"completion": "a pond", "label": False}))
    bring(project, lines(row | {"model": "m", "completion": "a toad"}))
    bring(project, lines(row | {"completion": "", "label": False}))
    assert not list(exports.demonstrations(project.pk))
    answers = RatingAnswer.objects.order_by("id").values_list("completion__text", "value")
    assert list(answers) == [("a frog", 1), ("a pond", 0), ("", 0)]
    assert Completion.objects.get(source_name="m").text == "a toad"


def test_a_command_waits_for_the_worker_that_took_the_import(project, monkeypatch):
    brought = services.bring_file(project, "votes.jsonl", [lines(PAIR)], project.created_by)
    services.start_import(brought)
    Import.objects.update(held_until=timezone.now() + writing.HELD_FOR)
    monkeypatch.setattr(writing.time, "sleep", lambda _: Import.objects.update(held_until=None))
    assert services.run_import(brought).state == Import.State.DONE


def test_a_command_that_is_interrupted_stops_the_import(project, tmp_path, monkeypatch):
    def interrupt(_: Import) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "run_import", interrupt)
    path = tmp_path / "votes.jsonl"
    path.write_bytes(lines(PAIR))
    with pytest.raises(CommandError, match="Stopped"):
        call_command("import_file", "Haiku", str(path))
    assert Import.objects.get().state == Import.State.CANCELLED


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Nothing", "file"], "There is no project Nothing. There are: "),
        (["Haiku", "/no/such/file"], "can't be read"),
        (["Haiku", "/no/such/file", "--as-user=nobody"], "There is no user nobody"),
    ],
)
def test_a_command_says_what_is_wrong_with_its_arguments(project, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("import_file", *arguments)


def test_a_command_imports_a_file_of_the_server(project, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('q,one,two,best\n"A, haiku",a,b,2\n', encoding="utf-8")
    columns = [f"--column={one}" for one in ("prompt=q", "left=one", "right=two", "winner=best")]
    out = io.StringIO()
    call_command("import_file", "Haiku", str(path), *columns, "--annotator=w9", stdout=out)
    assert "1 annotations" in out.getvalue()
    assert Annotation.objects.get().annotator.username.endswith("-w9")
    with pytest.raises(CommandError, match="Its columns are q, one, two, best"):
        call_command("import_file", "Haiku", str(path))
    path.write_text("q\n", encoding="utf-8")
    with pytest.raises(CommandError, match=r"column is the prompt|nothing to import"):
        call_command("import_file", "Haiku", str(path), "--column=prompt=nothing")


def test_a_command_takes_a_column_for_what_it_is_named_and_for_nothing_else(project, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(lines({"question": "A haiku", "answer": "a", "worse": "b"}))
    call_command(
        "import_file", "Haiku", str(path), "--column=chosen=answer", "--column=rejected=worse"
    )
    assert Comparison.objects.get().left.text == "a"
    assert not list(exports.demonstrations(project.pk))
    with pytest.raises(CommandError, match="answer is named twice"):
        call_command(
            "import_file", "Haiku", str(path), "--column=chosen=answer", "--column=rejected=answer"
        )
    path.write_bytes(lines({"question": "A haiku", "answer": "a", "label": "spring"}))
    call_command("import_file", "Haiku", str(path), "--column=label=")
    assert [row["completion"][0]["content"] for row in exports.demonstrations(project.pk)] == ["a"]
