"""What was merged opens without PEFT and says what the policy says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.pipeline.checkpoints import is_whole
from training.pipeline.config import ExportConfig
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.loading import load_base
from training.tests.pipeline.conftest import run_job

MakeJob = Callable[..., Job]


def test_it_generates_the_same_tokens_without_peft(
    make_job: MakeJob, sft_adapter: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path, ExportConfig(), "prompts", adapter_path=sft_adapter, card="# Frog\n")
    output, results, events = run_job(job)
    assert is_whole(Path(output))
    assert Path(output, "README.md").read_text(encoding="utf-8") == "# Frog\n"
    assert results["same_tokens"] == results["compared_tokens"] > 0
    assert [e["step"] for e in events if e["event"] == "progress"] == [0, 1, 2, 3, 4]
    plain = AutoModelForCausalLM.from_pretrained(output).eval()
    assert plain.dtype == torch.float32
    policy = PeftModel.from_pretrained(load_base(job.base_path), sft_adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(output)
    message = [{"role": "user", "content": "Write a haiku about thing number 3."}]
    ids = tokenizer.apply_chat_template(
        message, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    told, expected = (
        model.generate(**ids, max_new_tokens=24, do_sample=False, pad_token_id=0)[0].tolist()
        for model in (plain, policy)
    )
    assert told == expected
    with torch.no_grad():
        of_base = load_base(job.base_path)(**ids).logits
        assert not torch.allclose(of_base, plain(**ids).logits, atol=1e-3)


def test_it_halves_the_size_where_asked(
    make_job: MakeJob, sft_adapter: str, tmp_path: Path
) -> None:
    config = ExportConfig(half_precision=True)
    output, results, _ = run_job(make_job(tmp_path, config, "prompts", adapter_path=sft_adapter))
    assert AutoModelForCausalLM.from_pretrained(output).dtype == torch.bfloat16
    assert results["compared_tokens"] > 0


def test_it_refuses_what_has_no_adapter(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="plain model already"):
        run_job(make_job(tmp_path, ExportConfig(), "prompts"))
