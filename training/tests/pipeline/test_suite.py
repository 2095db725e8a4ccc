"""The evaluation suite on the tiny model, and its report worked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from training.pipeline.config import SuiteConfig
from training.pipeline.data import encode_prompt
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Cases, Job
from training.pipeline.loading import load_base, load_tokenizer
from training.pipeline.suite_report import Answer, report
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import prompt_rows, write_rows

MakeJob = Callable[..., Job]
CONFIG = SuiteConfig(completions_per_prompt=2, max_new_tokens=6, batch_size=6, checks="haiku")


@pytest.fixture
def job(make_job: MakeJob, tmp_path: Path) -> Job:
    """Return a job on five prompts, in two batches."""
    rows = write_rows(tmp_path / "five.jsonl", prompt_rows()[-5:])
    return replace(make_job(tmp_path, CONFIG, "prompts"), data_path=rows, rival=True)


def log_prob(job: Job, adapter: str | None, prompt: list[int], tokens: list[int]) -> float:
    """Return the log-probability of a completion by one plain pass over the whole text."""
    model = load_base(job.base_path)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0].float()
    of_each = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 : -1]
    return float(of_each.gather(1, torch.tensor([tokens]).T).sum())


def test_it_measures_a_checkpoint_beside_its_parent_and_tries_the_cases(
    job: Job, sft_adapter: str, reward_adapter: str, tmp_path: Path
) -> None:
    (prompt,) = prompt_rows()[:1]
    prompt["references"] = {"7": ["frogs frogs", "one frog"]}
    cases = Cases(path=write_rows(tmp_path / "cases.jsonl", [prompt]), answers=3, max_new_tokens=5)
    job = replace(job, adapter_path=sft_adapter, reward_path=reward_adapter, cases=cases)
    assert Job.from_dict(job.to_dict()) == job
    output, results, events = run_job(job)
    assert (results["prompts"], results["answers"]) == (5, 10)
    table = results["table"]
    assert {"score", "kl", "tokens", "self_bleu", "haiku"} <= table.keys()
    assert table["kl"]["child"]["value"] > 0
    assert table["kl"]["parent"]["value"] == 0, "the parent is the base"
    assert results["win_rate"]["n"] == 10
    assert len(results["examples"]) == 5
    lines = Path(output, "answers.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 20
    assert max(row["tokens"] for row in rows) <= 6
    lines = Path(output, "cases.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["source"] for row in rows] == ["policy"] * 3 + ["rival"] * 3
    assert {row["prompt_id"] for row in rows} == {prompt["prompt_id"]}
    assert all(row["references"]["7"] == rows[0]["references"]["7"] for row in rows)
    assert len({row["sampling"]["score"] for row in rows}) > 1
    last = [event for event in events if event["event"] == "progress"][-1]
    assert last["step"] == last["total_steps"]


def test_its_log_probabilities_are_those_of_a_plain_pass(
    job: Job, sft_adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.pipeline import suite

    seen: list[Answer] = []

    def kept(child: list[Answer], parent: list[Answer], *, checks: str) -> dict[str, object]:
        seen.extend(child)
        return report(child, parent, checks=checks)

    monkeypatch.setattr(suite, "report", kept)
    run_job(replace(job, adapter_path=sft_adapter))
    tokenizer = load_tokenizer(job.base_path)
    one = seen[-1]
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": one.prompt}])
    assert one.log_prob == pytest.approx(log_prob(job, sft_adapter, prompt, one.tokens), abs=1e-3)
    assert one.under_base == pytest.approx(log_prob(job, None, prompt, one.tokens), abs=1e-3)


def test_a_checkpoint_beside_itself_differs_in_nothing(job: Job) -> None:
    _, results, _ = run_job(job)
    assert {found["difference"]["value"] for found in results["table"].values()} == {0}
    assert results["kl_to_parent"]["value"] == 0
    assert "score" not in results["table"]
    assert "win_rate" not in results


def answer(prompt: int, text: str, **changes: object) -> Answer:
    return Answer(prompt, "Write about a frog.", text, [1] * len(text.split()), True, **changes)  # type: ignore[arg-type]  # of each field its own


def test_the_report_agrees_with_a_worked_example() -> None:
    child = [
        answer(1, "I cannot do it", log_prob=-2.0, under_base=-4.0, score=1.0),
        answer(2, "a green frog", log_prob=-3.0, under_base=-6.0, score=3.0),
    ]
    parent = [
        answer(1, "a frog", log_prob=-1.0, under_base=-1.0, score=2.0),
        answer(2, "a green frog", log_prob=-2.0, under_base=-3.0, score=3.0),
    ]
    found = report(child, parent, checks="")
    table = found["table"]
    assert table["kl"]["child"]["value"] == 2.5
    assert table["kl"]["difference"]["value"] == 2.0
    assert table["kl_token"]["child"]["value"] == 0.75
    assert table["refusal"]["difference"]["value"] == 0.5
    assert table["tokens"]["parent"]["value"] == 2.5
    assert table["score"]["difference"]["value"] == -0.5
    assert table["distinct_1"]["child"]["value"] == 1.0
    assert table["distinct_1"]["parent"]["value"] == 3 / 5
    wins = found["win_rate"]
    assert (wins["wins"], wins["ties"], wins["losses"]) == (0, 1, 1)
    assert "haiku" not in table


def test_it_refuses_a_suite_without_prompts(job: Job, tmp_path: Path) -> None:
    empty = replace(job, data_path=write_rows(tmp_path / "none.jsonl", []))
    with pytest.raises(PipelineError, match="no prompts"):
        run_job(empty)


@pytest.mark.parametrize(
    ("values", "words"),
    [({"checks": "sonnet"}, "choose haiku"), ({"temperature": 0}, "temperature")],
)
def test_it_refuses_settings_that_cannot_work(values: dict[str, object], words: str) -> None:
    with pytest.raises(PipelineError, match=words):
        SuiteConfig.from_dict(values)
