"""Who asks who answers, and which answers say who wrote them: a vote on such is not blind.

Words alone decide, and they miss what is paraphrased. What they find is marked and not lost, so
that finding too much costs a leaderboard one battle, and finding too little as much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

VENDORS = (
    "ai21",
    "alibaba cloud",
    "anthropic",
    "chatgpt",
    "claude",
    "cohere",
    "deepmind",
    "deepseek",
    "gemini",
    "gemma",
    "gpt",
    "grok",
    "hugging face",
    "huggingface",
    "llama",
    "mistral ai",
    "mixtral",
    "moonshot ai",
    "openai",
    "qwen",
    "smollm",
    "xai",
)
"""Models and who makes them. Of a name that is a word of its own only a version or an introduction
counts: a llama or a Gemini in a poem says nothing."""

ALSO_WORDS = frozenset({"claude", "cohere", "gemini", "gemma", "grok", "llama"})

INTRODUCED = r"(?:i am|i'm|i’m|my name is|call me|this is)\s+(?:called\s+|named\s+|an?\s+|the\s+)?"
MADE_BY = r"(?:made|built|created|trained|developed|designed|released|fine-tuned)\s+by\s+"

ASKS = re.compile(
    r"\b(?:who|what) (?:are|r) (?:you|u)\b(?!\s+(?:doing|going|saying|waiting|looking|thinking))"
    r"|\b(?:which|what) (?:ai|llm|language )?\s*(?:model|assistant|chatbot|bot|version) "
    r"(?:are|is this|do you|am i|answers)"
    r"|\bwho (?:made|built|created|trained|developed|programmed) (?:you|this model)\b"
    r"|\bwhat(?:'s|’s| is) your (?:name|model|version)\b"
    r"|\bare you (?:an? )?(?:based on )?(?:chatgpt|gpt|claude|gemini|llama|qwen|mistral|deepseek"
    r"|grok|smollm)\b"
    r"|\byour (?:model|checkpoint) name\b"
    r"|\b(?:tell me|reveal|say) (?:who you are|your name|which model you are)\b",
    re.IGNORECASE,
)


def asks_who(text: str) -> bool:
    """Say whether a question asks who answers it.

    >>> asks_who("Who made you?"), asks_who("What are you doing in the garden, frog?")
    (True, False)
    """
    return ASKS.search(" ".join(text.split())) is not None


def names_model(answer: str, names: Iterable[str] = (), *, asked: str = "") -> bool:
    """Say whether an answer tells who wrote it: by a name of `names`, or by that of a vendor.

    A name that was asked about (`asked`) only counts where the answer introduces itself by it. Of
    `names` those with a digit count wherever they stand; `base` or `final` may be any word.

    >>> names_model("I am Claude, made by Anthropic."), names_model("A llama drinks.")
    (True, False)
    >>> names_model("sft-12 greets you", ["sft-12"]), names_model("the base of it", ["base"])
    (True, False)
    >>> names_model("OpenAI was founded in 2015.", asked="When was OpenAI founded?")
    False
    """
    text, question = _plain(answer), _plain(asked)
    own = {_plain(name) for name in names} - {""}
    for name in own | set(VENDORS):
        if _is_said(INTRODUCED + _named(name), text) or _is_said(MADE_BY + _named(name), text):
            return True
        is_distinct = any(map(str.isdigit, name)) if name in own else name not in ALSO_WORDS
        wherever = _named(name) if is_distinct else rf"\b{re.escape(name)}[-\s]?v?\d"
        if _is_said(wherever, text) and not _is_said(_named(name), question):
            return True
    return False


def _named(name: str) -> str:
    """Return the pattern of a name as a word; behind it a version may follow (`gpt-4`, `qwen2`)."""
    end = r"(?![\w-])" if name[-1].isdigit() else r"(?![^\W\d])"
    return rf"(?<![\w-]){re.escape(name)}{end}"


def _is_said(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
