"""TRL's language-model head, which makes log-probs without holding all logits, on a processor.

On a GPU a kernel turns large tiles of logits into log-probs in place, and reads the positions of
the loss alone. Without that kernel a tile is some eight tensors in float32 side by side, of up to
4,096 positions each, and prompts and padding are read, too. Here tiles are small on a processor and
nothing is read that no loss asks for: the same numbers for a gigabyte or more less, and in less
time (docs/log.md).
"""

from __future__ import annotations

import torch
from trl.kernels import chunked_logprob
from trl.trainer import utils

TILE = 256
"""Positions of a tile; its width is up to 32,768 entries of the vocabulary. Smaller ones take no
less time."""


def suit_the_processor() -> None:
    """Let TRL's trainers work in small tiles, on the positions of the loss. Once is enough."""
    if torch.cuda.is_available():
        return
    chunked_logprob.TOKEN_CHUNK_SIZE = TILE
    # In this module it decides about the positions alone; the tiles have a name of their own.
    utils._use_triton = lambda device: True
