"""The best of n: what is kept, how far it is from a single draw, and learning from it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from training.pipeline import best, data
from training.pipeline.checkpoints import is_whole, read_manifest
from training.pipeline.config import RejectionConfig, SampleConfig
from training.pipeline.data import PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.evaluate import kl_of_best_of
from training.pipeline.jobs import Job
from training.pipeline.loading import read_centre
from training.pipeline.reporting import Reporter
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import prompt_rows, write_rows

MakeJob = Callable[..., Job]
SAMPLING = SampleConfig(completions_per_prompt=2, best_of=4, max_new_tokens=6, batch_size=64)
REJECTION = RejectionConfig(
    sampling_batch_size=64, best_of=4, max_new_tokens=24, batch_size=1, min_rows=1
)
QUIET = Reporter(lambda event: None, lambda: False)


def completions(output: str) -> list[dict[str, Any]]:
    lines = (Path(output) / "completions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_it_knows_how_far_the_best_of_n_is_from_one_drawn_alone(n: int) -> None:
    """KL = ∫ p log(p/q) with the best's quantile u of density n·u^(n−1) against the uniform 1.

    So it is ∫₀¹ n·u^(n−1) · log(n·u^(n−1)) du, added up here in small steps.
    """
    cells = 200_000
    total = 0.0
    for cell in range(cells):
        density = n * ((cell + 0.5) / cells) ** (n - 1)
        total += density * math.log(density) / cells if density > 0 else 0.0
    assert kl_of_best_of(n) == pytest.approx(total, abs=1e-4)


def test_it_keeps_what_the_reward_model_scores_highest(
    make_job: MakeJob, tiny_model: Path, sft_adapter: str, reward_adapter: str, tmp_path: Path
) -> None:
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    output, results, _ = run_job(make_job(tmp_path / "best", SAMPLING, "prompts", **paths))
    kept = completions(output)
    assert len(kept) == results["completions"] == 40 * 2
    for row in kept:
        chosen = row["sampling"]
        assert chosen["best_of"] == 4
        assert chosen["kl"] == pytest.approx(math.log(4) - 3 / 4)
        assert "tokens" not in row
    assert results["score_after"] > results["score_before"]
    base = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, num_labels=1, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(reward_adapter)
    base.config.pad_token_id = tokenizer.pad_token_id
    outside = PeftModel.from_pretrained(base, reward_adapter).eval()
    whole = next(row for row in kept if row["sampling"]["ended"])
    prompt = prompt_rows()[whole["prompt_id"]]["prompt"]
    ids = data.encode_prompt(tokenizer, prompt) + data.encode_completion(tokenizer, whole["text"])
    with torch.no_grad():
        again = outside(input_ids=torch.tensor([ids])).logits.item()
    assert whole["sampling"]["score"] == pytest.approx(
        again - read_centre(reward_adapter), abs=1e-4
    )


def test_it_keeps_half_a_text_only_where_none_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [[9.0, 1.0, 2.0], [1.0, 3.0, 3.0]]
    monkeypatch.setattr(best, "score_each", lambda *_: scores)
    prompts = {n: PromptRow(n, "", [1]) for n in (1, 2)}
    candidates = [
        {"prompt_id": n, "text": f"{n}-{k}", "tokens": [k], "sampling": {"ended": n == 1 and k > 0}}
        for n in (1, 2)
        for k in range(3)
    ]
    kept = best.keep_best(None, prompts, candidates, 3, 0, QUIET)  # type: ignore[arg-type]  # unused
    assert [row["text"] for row in kept] == ["1-2", "2-1"]
    gained = best.gain(kept)
    assert gained["score_before"] == pytest.approx((1.5 + 7 / 3) / 2)  # 9 was not to be had
    assert (gained["candidates"], gained["candidates_ended"]) == (6, 2)


def test_it_draws_as_before_where_one_is_asked_for(make_job: MakeJob, tmp_path: Path) -> None:
    config = replace(SAMPLING, best_of=1)
    rows = completions(run_job(make_job(tmp_path, config, "prompts"))[0])
    assert rows[0]["sampling"].keys() == {"temperature", "top_p", "seed", "ended"}


def test_it_refuses_a_choice_without_a_chooser(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="sample needs a reward model"):
        run_job(make_job(tmp_path, SAMPLING, "prompts"))
    with pytest.raises(PipelineError, match="more than 1024 candidates a prompt"):
        SampleConfig(completions_per_prompt=64, best_of=64)
    with pytest.raises(PipelineError, match="best_of is 1; choose"):
        RejectionConfig(best_of=1)


def test_it_learns_from_the_best_completions(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tmp_path: Path
) -> None:
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    job = make_job(tmp_path, REJECTION, "prompts", **paths)
    output, results, _ = run_job(job)
    assert is_whole(Path(output))
    assert read_manifest(Path(output))["config"]["stage"] == "rejection"
    assert results["score_after"] > results["score_before"]
    assert results["kl_bound"] == pytest.approx(kl_of_best_of(4))
    lines = (Path(job.work_dir) / "best" / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["split"] for row in rows} == {"train", "validation"}  # test stays unseen
    assert len(rows) + results["left_out_unended"] == results["score_prompts"] == 35
    assert results["rows"] == sum(row["split"] == "train" for row in rows)
    name = "adapter_model.safetensors"
    before, after = load_file(Path(sft_adapter) / name), load_file(Path(output) / name)
    assert any((before[weight] != after[weight]).any() for weight in before)


def test_it_learns_from_the_same_completions_after_a_stop(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path, REJECTION, "prompts", reward_path=reward_adapter)

    def at_step_1(events: list[dict[str, Any]]) -> bool:
        return any(e["event"] == "progress" and e["step"] >= 1 for e in events)

    with pytest.raises(RunStopped):
        run_job(job, should_stop=at_step_1)
    rows = (Path(job.work_dir) / "best" / "rows.jsonl").read_bytes()
    _, _, events = run_job(job)
    assert {"event": "phase", "phase": "sampling"} not in events
    assert (Path(job.work_dir) / "best" / "rows.jsonl").read_bytes() == rows


def test_it_says_when_nothing_ended(make_job: MakeJob, reward_adapter: str, tmp_path: Path) -> None:
    config = replace(REJECTION, max_new_tokens=1, best_of=2)
    path = write_rows(tmp_path / "few.jsonl", prompt_rows()[:2])
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match=r"None of the completions ended.*max_new_tokens"):
        run_job(Job(**{**vars(job), "data_path": path}))


def test_it_scores_answers_beside_the_texts_that_they_are_held_against(
    make_job: MakeJob, sft_adapter: str, reward_adapter: str, tmp_path: Path
) -> None:
    texts = ["words words", "a frog"]
    first = {**prompt_rows()[0], "references": {"7": texts}}
    rows_path = tmp_path / "two.jsonl"
    write_rows(rows_path, [first, prompt_rows()[1]])
    config = replace(SAMPLING, best_of=1)
    paths = {"adapter_path": sft_adapter, "reward_path": reward_adapter}
    job = replace(make_job(tmp_path, config, "prompts", **paths), data_path=str(rows_path))
    rows = completions(run_job(job)[0])
    assert len(rows) == 4
    assert all(math.isfinite(row["sampling"]["score"]) for row in rows)
    of_first = [row for row in rows if row["prompt_id"] == first["prompt_id"]]
    assert all(len(row["references"]["7"]) == 2 for row in of_first)
    same = {tuple(row["references"]["7"]) for row in of_first}
    assert len(same) == 1
    assert [row["references"] for row in rows if row not in of_first] == [{}, {}]
