"""A tiny language model from a config, with a tokenizer trained in memory."""

from __future__ import annotations

from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "Write a haiku about the old pond and the frog in it.",
    "An old silent pond\nA frog jumps into the pond\nSplash! Silence again.",
    "user assistant system the moon the rain the winter sea a cat",
]


def build_tiny_model(folder: Path, hidden_size: int = 16) -> Path:
    """Write a two-layer Llama and its tokenizer to `folder`; return it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=specials,
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=512,
            initializer_range=0.2,  # small weights would keep it from ever preferring a token
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_brief(folder: Path, share: float) -> Path:
    """Let the model in `folder` end a completion with the next token in a `share` of cases.

    Left as it was drawn it hardly ever ends one. A number that all embeddings have in common keeps
    the last hidden states near one direction, so that one embedding of the end token, found by
    least squares, is about as likely behind any text.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    embeddings, end = model.get_input_embeddings().weight, model.config.eos_token_id
    ids = torch.randint(3, len(embeddings), (32, 24), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        embeddings[:, 0] = 1.0
        hidden = model.model(input_ids=ids).last_hidden_state.flatten(0, 1)
        others = hidden @ embeddings.T
        others[:, end] = -torch.inf
        wanted = others.logsumexp(dim=-1) + torch.logit(torch.tensor(share))
        embeddings[end] = torch.linalg.lstsq(hidden, wanted.unsqueeze(1)).solution.squeeze(1)
    model.save_pretrained(folder)
    return folder
