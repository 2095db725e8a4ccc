"""Base model, adapters, tokenizer: everything that is read before a stage begins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.pipeline.attention import learn_quickly
from training.pipeline.checkpoints import (
    check_adapter,
    check_base,
    check_model_folder,
)
from training.pipeline.config import TrainConfig
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.launch import is_sharded
from training.pipeline.low_rank import compute_as_base
from training.pipeline.machine import chosen_dtype

learn_quickly()  # whatever is loaded below
CENTRE = "centre.json"
"""In a reward model's folder: what is taken off every score, so that demonstrations average 0."""


def pick_device() -> torch.device:
    """Return the GPU where there is one, of several processes each its own, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def pick_dtype() -> torch.dtype:
    """Return what was chosen, else bfloat16 where the hardware computes in it, else float32.

    A CPU without AVX-512 emulates bfloat16: sampling is three times and training seventeen
    times slower than in float32 (docs/log.md).
    """
    if chosen := chosen_dtype():
        return torch.bfloat16 if chosen == "bfloat16" else torch.float32
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def load_tokenizer(base_path: str) -> PreTrainedTokenizerBase:
    """Return the base's tokenizer, with a padding token that is not the end token.

    A reward is read at the last token that is not padding; were padding the end token, the end
    token would be overlooked.
    """
    check_model_folder(Path(base_path))
    tokenizer = AutoTokenizer.from_pretrained(base_path, local_files_only=True)
    if tokenizer.chat_template is None:
        raise PipelineError(f"{base_path} has no chat template. Choose an instruction-tuned model.")
    if tokenizer.eos_token_id is None:
        raise PipelineError(f"The tokenizer of {base_path} has no end token. Set eos_token there.")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        others = [i for i in tokenizer.all_special_ids if i != tokenizer.eos_token_id]
        if not others:
            raise PipelineError(
                f"The tokenizer of {base_path} has no special token besides the end token. "
                "Add a padding token to it."
            )
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(min(others))
    return tokenizer


def load_base(base_path: str, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Return the base causal LM, frozen, in the type and on the device of this machine."""
    check_base(base_path)
    model = AutoModelForCausalLM.from_pretrained(
        base_path, dtype=dtype or pick_dtype(), local_files_only=True, use_safetensors=True
    )
    check_base_weights(model, base_path)
    model = model.requires_grad_(False)
    return model if is_sharded() else model.to(pick_device())  # else its share goes there later


def load_all_weights(base_path: str, adapter_path: str | None) -> PreTrainedModel:
    """Return the causal LM with every weight to be trained, the parent's adapter merged into it.

    In float32: an update of full fine-tuning is often too small for bfloat16 to notice.
    """
    model = load_base(base_path, torch.float32)
    if adapter_path is not None:
        model = with_adapter(model, adapter_path).merge_and_unload()
    return model.requires_grad_(True)


def with_adapter(base: PreTrainedModel, path: str, **more: Any) -> PeftModel:
    """Return the base with the adapter of a checkpoint; `more` is told to PEFT."""
    check_adapter(path)
    model = PeftModel.from_pretrained(base, path, **more)
    cure = "Choose another checkpoint or run its training again."
    check_weights(model, f"The checkpoint at {path}", cure, of="lora_")
    return model


def check_weights(model: torch.nn.Module, what: str, cure: str, of: str = "") -> None:
    """Raise PipelineError where a weight with `of` in its name is not finite.

    Else the loss of the first step would not be either, and its learning rate would be blamed. A
    sum tells it in one pass without a copy.
    """
    sick = [
        name
        for name, weight in model.named_parameters()
        if of in name and not weight.is_meta and not torch.isfinite(weight.detach().sum())
    ]
    if sick:
        raise PipelineError(
            f"{what} has weights that are not numbers, in {len(sick)} of its tensors ({sick[0]}): "
            f"nothing that is reckoned from them is one, whatever the settings. {cure}"
        )


def check_base_weights(model: PreTrainedModel, base_path: str) -> None:
    cure = "Copy or fetch it again, or choose another base model."
    check_weights(model, f"The base model at {base_path}", cure)


def load_reward_base(base_path: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Return the base with a score head of one output in place of the language-model head."""
    check_base(base_path)
    model = AutoModelForSequenceClassification.from_pretrained(
        base_path, dtype=pick_dtype(), num_labels=1, local_files_only=True, use_safetensors=True
    )
    check_base_weights(model, base_path)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model.to(pick_device())


def new_lora(base: PreTrainedModel, config: TrainConfig, task: str = "CAUSAL_LM") -> LoraConfig:
    """Return the configuration of a new adapter: alpha is twice the rank."""
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        lora_dropout=0.0,
        target_modules=config.lora_targets.split(),
        layers_to_transform=_upper_layers(base, config.lora_layers),
        modules_to_save=["score"] if task == TaskType.SEQ_CLS else None,
        task_type=task,
    )


def _upper_layers(base: PreTrainedModel, wanted: int) -> list[int] | None:
    layers = base.config.num_hidden_layers
    if wanted > layers:
        raise PipelineError(
            f"The base model has {layers} layers, fewer than lora_layers {wanted}. Lower it, or "
            "choose 0 for all of them."
        )
    return list(range(layers - wanted, layers)) if wanted else None


def add_policy(
    base: PreTrainedModel, adapter_path: str | None, config: TrainConfig, name: str = "policy"
) -> PeftModel:
    """Return the base with the trainable adapter `name`: the parent's, or a new one.

    A new one starts as the base itself, since LoRA's B is zero.
    """
    if adapter_path is None:
        return compute_as_base(get_peft_model(base, new_lora(base, config), adapter_name=name))
    return compute_as_base(with_adapter(base, adapter_path, adapter_name=name, is_trainable=True))


def add_reward_adapter(
    base: PreTrainedModel, adapter_path: str | None, config: TrainConfig
) -> PeftModel:
    """Return the sequence classifier with a trainable adapter and score head.

    The adapter starts with the parent's LoRA weights where there is a parent; the head at random.
    """
    if adapter_path is None:
        return compute_as_base(get_peft_model(base, new_lora(base, config, TaskType.SEQ_CLS)))
    check_adapter(adapter_path)
    lora = LoraConfig.from_pretrained(adapter_path)
    lora.task_type, lora.modules_to_save = TaskType.SEQ_CLS, ["score"]
    lora.inference_mode = False
    model = compute_as_base(get_peft_model(base, lora))
    own = dict(model.named_parameters())
    for name, value in load_file(Path(adapter_path) / "adapter_model.safetensors").items():
        own[name.replace(".weight", ".default.weight")].data.copy_(value)
    cure = "Choose another checkpoint or run its training again."
    check_weights(model, f"The checkpoint at {adapter_path}", cure, of="lora_")
    return model


def check_reward_fits(tokenizer: PreTrainedTokenizerBase, job: Job) -> str:
    """Return where the reward model lies; raise PipelineError unless it reads what policies write.

    What files say was checked before (`training.pipeline.preflight`). This is what only a loaded
    tokenizer tells, and the width of the head.
    """
    path = job.reward_path
    assert path is not None  # preflight asks for it
    cure = "Choose a reward model of the same base."
    theirs = AutoTokenizer.from_pretrained(path, local_files_only=True)
    if theirs.get_vocab() != tokenizer.get_vocab():
        raise PipelineError(
            f"The reward model at {path} was trained with another tokenizer than the policy's: it "
            f"would read other texts than the policy writes. {cure}"
        )
    with safe_open(Path(path) / "adapter_model.safetensors", "pt") as weights:
        names = list(weights.keys())  # it is no mapping
        head = next((name for name in names if name.endswith("score.weight")), None)
        width = weights.get_slice(head).get_shape()[1] if head else None
    base = AutoConfig.from_pretrained(job.base_path, local_files_only=True)
    if width != base.get_text_config().hidden_size:
        raise PipelineError(
            f"The reward model at {path} was trained on another base model: its head does not fit "
            f"{job.base_path}. {cure}"
        )
    return path


def load_scorer(job: Job, tokenizer: PreTrainedTokenizerBase) -> PeftModel:
    """Return the reward model alone, to score with; its head takes off what scores centre on."""
    path = check_reward_fits(tokenizer, job)
    base = load_reward_base(job.base_path, tokenizer)
    model = compute_as_base(PeftModel.from_pretrained(base, path).eval())
    head = model.get_submodule("base_model.model.score.modules_to_save.default")
    weight = head.get_parameter("weight")
    centre = torch.full((1,), read_centre(path), dtype=weight.dtype, device=weight.device)
    head.bias = torch.nn.Parameter(-centre, requires_grad=False)
    _check_reward_weights(model, path)
    return model


def add_reward(model: PeftModel, reward_path: str) -> torch.nn.Linear:
    """Add the frozen adapter "reward" and return its score head, in float32.

    The adapter was trained on a sequence classifier whose trunk has the same names as the causal
    LM's, so its LoRA weights fit; the head is read from the same file, and takes off what the
    scores are centred on.
    """
    check_adapter(reward_path)
    lora = LoraConfig.from_pretrained(reward_path)
    lora.task_type, lora.modules_to_save = TaskType.CAUSAL_LM, None
    model.add_adapter("reward", lora)
    compute_as_base(model)  # it may have a part where the policy has none
    weights = load_file(Path(reward_path) / "adapter_model.safetensors")
    head_name = next(name for name in weights if name.endswith("score.weight"))
    head = torch.nn.Linear(weights[head_name].shape[1], 1)
    head.weight.data = weights.pop(head_name).float()
    torch.nn.init.constant_(head.bias, -read_centre(reward_path))
    own = dict(model.named_parameters())
    for name, value in weights.items():
        left, _, right = name.rpartition(".weight")
        target = own.get(f"{left}.reward.weight{right}")
        if target is None or target.shape != value.shape:
            raise PipelineError(
                f"The reward model at {reward_path} was trained on another base model: its "
                f"{left} does not fit. Choose a reward model of the same base."
            )
        target.data.copy_(value)
    for name, parameter in own.items():
        if ".reward." in name:
            parameter.requires_grad_(False)
    _check_reward_weights(model, reward_path, of=".reward.")
    _check_reward_weights(head, reward_path)
    return head.requires_grad_(False).to(pick_device())


def _check_reward_weights(model: torch.nn.Module, path: str, of: str = "") -> None:
    cure = "Choose another reward model or train it again."
    check_weights(model, f"The reward model at {path}", cure, of=of)


def read_centre(reward_path: str) -> float:
    """Return what a reward model's scores are centred on; 0 for one that knows no centre."""
    path = Path(reward_path) / CENTRE
    return float(json.loads(path.read_text(encoding="utf-8"))["score"]) if path.is_file() else 0.0


def trunk_of(model: torch.nn.Module) -> torch.nn.Module:
    """Return the transformer below the head, adapters included."""
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    trunk: torch.nn.Module = whole.base_model
    return trunk


def head_of(model: torch.nn.Module) -> torch.nn.Module:
    """Return the language-model head."""
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    head: torch.nn.Module = whole.get_output_embeddings()
    return head
