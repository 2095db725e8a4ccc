"""What a reward model says about itself, and that it says the same after it was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from peft import PeftModel

from training.pipeline import data
from training.pipeline.config import RewardConfig
from training.pipeline.data import Pair, PreferenceGroup
from training.pipeline.evaluate import Judged, calibration, human_agreement, length_bias, measure
from training.pipeline.jobs import Job
from training.pipeline.layers import split_trunk
from training.pipeline.loading import add_policy, add_reward, load_base, load_tokenizer
from training.pipeline.reward import rows_for_trainer
from training.pipeline.rollouts import enter, pad_right, score_completions, using
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import preference_rows, write_rows

MakeJob = Callable[..., Job]
CONFIG = RewardConfig(batch_size=8, learning_rate=3e-3, min_pairs=2)


def judged(gap: float, first: int = 1, second: int = 0, **changes: Any) -> Judged:
    values = {
        "prompt_id": 1, "cluster": 1, "gap": gap, "lengths": (10, 10),
        "first_votes": ("better",) * first, "second_votes": ("slightly",) * second,
    }  # fmt: skip
    return Judged(**values | changes)


def scores_of(job: Job, folder: str, texts: list[tuple[list[int], list[int]]]) -> list[float]:
    """Score (prompt, completion) as PPO does: from the checkpoint's files alone."""
    tokenizer = load_tokenizer(job.base_path)
    model = add_policy(load_base(job.base_path), None, CONFIG)
    assert isinstance(model, PeftModel)
    head = add_reward(model, folder)
    found = []
    for prompt, completion in texts:
        tokens, mask = pad_right([completion], tokenizer.pad_token_id, torch.device("cpu"))
        with torch.no_grad(), using(model, "reward"):
            split = split_trunk(model)
            entered = enter(split, [prompt], tokens, mask, pad=tokenizer.pad_token_id)
            found.append(score_completions(split, head, entered).item())
    return found


def test_it_scores_demonstrations_zero_on_average_after_saving_and_reloading(
    make_job: MakeJob, rows_folder: Path, tmp_path: Path
) -> None:
    path = str(rows_folder / "demonstrations.jsonl")
    job = make_job(tmp_path, CONFIG, "preferences", demonstrations_path=path)
    output, results, _ = run_job(job)
    assert (results["centred_on"], results["centred_on_texts"]) == ("demonstrations", 40)
    assert abs(results["score_centre"]) > 1e-3
    tokenizer = load_tokenizer(job.base_path)
    groups = data.demonstration_groups(data.read_rows(path), tokenizer, 256, most=40, seed=0)
    texts = [(group.prompt, group.completions[0]) for group in groups]
    assert fmean(scores_of(job, output, texts)) == pytest.approx(0, abs=1e-5)
    held_out, _ = data.preference_groups(preference_rows()[60:], tokenizer, 256)
    texts = [(group.prompt, ids) for group in held_out for ids in group.completions]
    assert fmean(scores_of(job, output, texts)) == pytest.approx(results["score_mean"], abs=1e-4)


def test_it_learns_how_sure_people_are_where_they_disagree(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """Three of four votes are for the pond: σ(gap) goes to three quarters and not to one."""
    rows = [
        {**row, "chosen": row["rejected"], "rejected": row["chosen"]} if vote == 3 else row
        for row in preference_rows()
        for vote in range(4)
    ]
    path = write_rows(tmp_path / "votes.jsonl", rows)
    config = RewardConfig(batch_size=4, epochs=6, learning_rate=5e-3, min_pairs=2)
    job = Job(**{**vars(make_job(tmp_path, config, "preferences")), "data_path": path})
    _, results, _ = run_job(job)
    assert (results["train_pairs"], results["heldout_pairs"]) == (60, 20)
    assert results["heldout_votes"] == 80
    assert results["heldout_accuracy"] == pytest.approx(0.75)
    (certain,) = results["calibration"]
    assert certain["predicted"] == pytest.approx(0.75, abs=0.1)
    assert certain == {"predicted": certain["predicted"], "chosen": 0.75, "n": 80}
    # Of the six pairs of four votes, three agree: 3 for + 0 against.
    assert results["human_agreement"]["value"] == pytest.approx(0.5)


def test_weights_are_one_on_average_whatever_a_snapshot_calls_them() -> None:
    pairs = [Pair(0, 1, 0.9, 0.5, ("",), (), weight) for weight in (0.1, 0.2, 0.6)]
    groups = [PreferenceGroup(number, [1], [[2], [3]], [pair]) for number, pair in enumerate(pairs)]
    found = [row["pairs"][0] for row in rows_for_trainer(groups, use_margin=True)]
    assert [pair[4] for pair in found] == pytest.approx([1 / 3, 2 / 3, 2])
    assert found[0][:4] == [0, 1, 0.9, 0.5]


def test_it_reports_what_it_was_asked_for(make_job: MakeJob, tmp_path: Path) -> None:
    _, results, _ = run_job(make_job(tmp_path, CONFIG, "preferences"))
    assert results["by_strength"].keys() == {"slightly"}
    assert sum(share["n"] for share in results["by_length"].values()) == 20
    assert sum(one["n"] for one in results["calibration"]) == 20
    assert results["centred_on"] == "completions"
    assert results["score_mean"] == pytest.approx(0, abs=1e-5)
    assert "human_agreement" not in results  # every pair was judged once


def test_it_breaks_accuracy_down_by_strength_and_by_length() -> None:
    pairs = [
        judged(1.0, first=2, second=1, lengths=(20, 10)),
        judged(-1.0, first=1, lengths=(10, 20), prompt_id=2, cluster=2),
        judged(0.0, first=1, lengths=(100, 95), prompt_id=3, cluster=3),
    ]
    found = measure(pairs)
    assert (found["heldout_pairs"], found["heldout_votes"], found["heldout_prompts"]) == (3, 5, 3)
    assert found["heldout_accuracy"] == pytest.approx((2 + 0 + 0 + 0.5) / 5)
    values = {name: share["value"] for name, share in found["by_strength"].items()}
    assert values == {"better": pytest.approx(2.5 / 4), "slightly": 0.0}
    lengths = {name: (share["value"], share["n"]) for name, share in found["by_length"].items()}
    assert lengths == {"longer": (1.0, 2), "about as long": (0.5, 1), "shorter": (0.0, 2)}


def test_it_says_nothing_of_pairs_on_which_everybody_tied() -> None:
    assert measure([judged(1.0, first=0)]) == {"heldout_pairs": 0}


def test_it_measures_how_often_two_people_agree() -> None:
    """3 against 1 gives 3 agreeing of 6 pairs of people; 2 against 0 one of one."""
    share = human_agreement([judged(0, 3, 1), judged(0, 2, 0, cluster=2), judged(0, 1, 0)])
    assert share is not None
    assert (share.value, share.n) == (pytest.approx(4 / 7), 7)
    assert human_agreement([judged(0.0)]) is None


def test_it_looks_at_calibration_from_the_side_that_the_model_prefers() -> None:
    """σ(±log 3) = 3/4. One pair has 3 of 4 votes for the preferred one, the other none of two."""
    gap = 1.0986123
    found = calibration([judged(gap, 3, 1), judged(-gap, 2, 0)])
    (one,) = found["calibration"]
    assert one == {"predicted": pytest.approx(0.75), "chosen": 0.5, "n": 6}
    assert found["calibration_error"] == pytest.approx(0.25)
    unsure = calibration([judged(0.0, 3, 1), judged(gap, 3, 1)])
    assert unsure["calibration_error"] == pytest.approx(0, abs=1e-6)


def test_it_holds_the_models_taste_for_length_beside_that_of_people() -> None:
    pairs = [judged(1.0, 1, 1, lengths=(9, 5)), judged(1.0, 1, 0, lengths=(5, 9)), judged(1.0)]
    assert length_bias(pairs) == {
        "longer_preferred": 0.5,
        "longer_preferred_by_people": pytest.approx(1 / 3),
        "longer_pairs": 2,
    }
