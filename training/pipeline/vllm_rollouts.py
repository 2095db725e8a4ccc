"""Completions that vLLM draws, where it is installed: the only place that knows it.

vLLM (Kwon et al. 2023, arXiv:2309.06180) holds the base once more, in this process. Before each
rollout the policy's adapter is written as safetensors and given to it under a new name, and token
ids come back, nothing else: it rounds differently, so the log-probs that are learned from are
those of our own passes.
"""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from training.pipeline.config import PPOConfig
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.rollouts import Sampled, pad_right
from training.pipeline.shapes import read_shape

SHARE_OF_MEMORY = 0.3
"""Of a GPU, that vLLM may take: the policy learns on the same one. TRL's default for that."""
BLOCK = 128
"""Tokens by which vLLM's cache grows on a processor; on a GPU by fewer."""
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for; others take that of the next."""
SURROUNDINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: it ends with the run
    "VLLM_NO_USAGE_STATS": "1",  # it would tell its makers
    "VLLM_LOGGING_LEVEL": "ERROR",
}


class Engine:
    """vLLM on the base of a run, with room for one adapter."""

    def __init__(self, job: Job, config: PPOConfig, model: PeftModel, longest: int) -> None:
        """Load the base once more, for prompts of up to `longest` tokens."""
        self.folder = Path(job.work_dir) / "vllm"
        os.environ |= SURROUNDINGS
        try:
            self.vllm: Any = importlib.import_module("vllm")
            self.requests: Any = importlib.import_module("vllm.lora.request")
            self.llm = self.vllm.LLM(**settings(job, config, model, longest))
        except Exception as error:
            raise PipelineError(
                f"vLLM did not start: {error}. Mend that where the run is carried out, or leave "
                "rollouts empty: completions are drawn without it then."
            ) from error

    def draw(
        self,
        model: PeftModel,
        prompts: list[list[int]],
        tokenizer: PreTrainedTokenizerBase,
        config: PPOConfig,
        step: int,
        generator: torch.Generator,
    ) -> Sampled:
        """Return a completion of each prompt by the adapter "policy" as it is now.

        Log-probs and values are zeros: they are to be read.
        """
        end = tokenizer.eos_token_id
        seeds = torch.randint(2**62, (len(prompts),), generator=generator).tolist()
        answers = self.llm.generate(
            [{"prompt_token_ids": ids} for ids in prompts],
            [
                self.vllm.SamplingParams(
                    temperature=config.temperature,
                    max_tokens=config.max_new_tokens,
                    seed=seed,
                    stop_token_ids=[end],
                    ignore_eos=True,  # what a model's own settings take for one
                    detokenize=False,
                )
                for seed in seeds
            ],
            lora_request=self._adapter(model, step),
            use_tqdm=False,
        )
        shutil.rmtree(self.folder)
        completions = [list(answer.outputs[0].token_ids) for answer in answers]
        tokens, mask = pad_right(completions, tokenizer.pad_token_id, model.device)
        zeros = torch.zeros(mask.shape, device=mask.device)
        ended = torch.tensor([ids[-1] == end for ids in completions], device=mask.device)
        return Sampled(tokens, mask, zeros, zeros, ended)

    def _adapter(self, model: PeftModel, step: int) -> Any:
        """Return the policy of a step as vLLM loads it: under a number that it has not seen."""
        shutil.rmtree(self.folder, ignore_errors=True)  # of an attempt that was killed
        model.save_pretrained(self.folder, selected_adapters=["policy"])
        return self.requests.LoRARequest(f"step-{step}", step + 1, str(self.folder / "policy"))


def settings(job: Job, config: PPOConfig, model: PeftModel, longest: int) -> dict[str, Any]:
    """Return what vLLM is started with."""
    rank = model.peft_config["policy"].r
    return {
        "model": job.base_path,
        "load_format": "safetensors",
        "skip_tokenizer_init": True,  # ids go in, ids come out
        "generation_config": "vllm",  # nothing of the base's own settings
        "dtype": str(model.dtype).removeprefix("torch."),
        "max_model_len": longest + config.max_new_tokens,
        "max_num_seqs": config.batch_size,
        "enable_lora": True,
        "max_loras": 1,
        "max_cpu_loras": 1,
        "max_lora_rank": next(room for room in RANKS if room >= rank),
        "gpu_memory_utilization": SHARE_OF_MEMORY,
        "kv_cache_memory_bytes": cache_bytes(job, config, model, longest),
        "enforce_eager": model.device.type == "cpu",  # it compiles for a GPU alone
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "seed": config.seed,
    }


def cache_bytes(job: Job, config: PPOConfig, model: PeftModel, longest: int) -> int | None:
    """Return what keys and values of a whole rollout take; None leaves it to the share above."""
    shape = read_shape(Path(job.base_path))
    if shape is None:
        return None
    blocks = -(-(longest + config.max_new_tokens) // BLOCK) + 1  # one is vLLM's own
    tokens = config.batch_size * blocks * BLOCK
    return tokens * 2 * shape.key_values * shape.layers * model.dtype.itemsize
