"""Which metrics of a stage share a chart, what they are called, and how to read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Panel:
    """Which metrics share one small chart, and how to read it."""

    title: str
    names: tuple[str, ...]
    note: str = ""


SERIES_NAMES = {
    "completions/mean_length": "mean",
    "completions/min_length": "shortest",
    "completions/max_length": "longest",
}
"""Of metrics that share a chart, where the metric's own name does not tell them apart."""


def series_name(metric: str) -> str:
    """Return what tells a metric from the others on its chart.

    >>> [series_name(name) for name in ("loss", "eval_loss", "rewards/chosen")]
    ['training', 'held out', 'chosen']
    """
    if metric in SERIES_NAMES:
        return SERIES_NAMES[metric]
    if "/" in metric:
        return metric.rpartition("/")[2]
    return "held out" if metric.startswith("eval_") else "training"


def metric_title(metric: str) -> str:
    """Return the heading of a metric that no panel knows.

    >>> metric_title("eval_mean_surprise")
    'Mean surprise, held out'
    """
    held_out = ", held out" if metric.startswith("eval_") else ""
    words = metric.removeprefix("eval_").replace("_", " ").replace("/", ", ")
    return words[:1].upper() + words[1:] + held_out


_OF_SFT = (
    Panel("Loss", ("loss", "eval_loss"), "Down is good; held out rising means overfitting."),
    Panel(
        "Token accuracy",
        ("mean_token_accuracy", "eval_mean_token_accuracy"),
        "How often the likeliest token is the right one.",
    ),
    Panel(
        "Entropy",
        ("entropy", "eval_entropy"),
        "Nats per token. Falling to 0 means one answer to everything.",
    ),
    Panel("Gradient norm", ("grad_norm",), "Clipped at 1."),
    Panel("Learning rate", ("learning_rate",)),
)
_OF_GROUPS = (
    Panel("Reward", ("reward",), "Mean over the step's completions. Up is the aim."),
    Panel("Spread in a group", ("reward_std",), "Where it is 0 there is nothing to learn from."),
    Panel("KL to the reference", ("objective/kl",), "Nats per completion. Watch it run away."),
    Panel("KL of a token", ("kl",), "Nats; what beta is the price of."),
    Panel("Entropy", ("entropy",), "Falling to 0 means one answer to everything."),
    Panel(
        "Completion length",
        ("completions/mean_length", "completions/min_length", "completions/max_length"),
        "Tokens.",
    ),
    Panel("Cut off", ("completions/clipped_ratio",), "Share of completions without an end token."),
    Panel("Groups all alike", ("frac_reward_zero_std",), "Share of prompts that teach nothing."),
    Panel("Loss", ("loss",), "Says little: advantages average 0."),
    Panel("Gradient norm", ("grad_norm",), "Clipped at 1."),
    Panel("Learning rate", ("learning_rate",)),
    Panel("Seconds per step", ("step_time",)),
)
PANELS: dict[str, tuple[Panel, ...]] = {
    "sft": _OF_SFT,
    "reward": (
        Panel("Loss", ("loss", "eval_loss"), "ln 2 = 0.693 is a coin flip."),
        Panel("Accuracy", ("accuracy", "eval_accuracy"), "0.5 is a coin flip."),
        Panel("Margin", ("margin",), "Reward of chosen minus rejected."),
        Panel("Mean reward", ("mean_reward",), "Before it is centred: only differences count."),
        Panel("Gradient norm", ("grad_norm",), "Clipped at 1."),
        Panel("Learning rate", ("learning_rate",)),
    ),
    "ppo": (
        Panel("Score", ("objective/scores",), "Mean reward of the reward model. Up is the aim."),
        Panel("KL to the reference", ("objective/kl",), "Nats per completion. Watch it run away."),
        Panel("Reward after KL", ("objective/rlhf_reward",), "Score minus the price of KL."),
        Panel("Entropy", ("objective/entropy",), "Falling to 0 means one answer to everything."),
        Panel("Completion length", ("completion_length",), "Tokens."),
        Panel("Policy loss", ("loss/policy_avg",)),
        Panel("Value loss", ("loss/value_avg",)),
        Panel("Explained variance", ("val/explained_variance",), "Of the returns, by the values."),
        Panel("Supervised loss", ("loss/ptx_avg",), "Of the demonstrations mixed in."),
        Panel("Clipped ratios", ("policy/clipfrac_avg",), "Share of tokens; above 0.3 is a lot."),
        Panel("Probability ratio", ("val/ratio",), "Stays near 1."),
        Panel("KL of one step", ("policy/approxkl_avg",), "How far one rollout moved the policy."),
        Panel("Gradient norm", ("grad_norm",), "Clipped at 1."),
        Panel("Ended", ("ended",), "Share of completions with an end token."),
        Panel("KL coefficient", ("kl_coef",)),
        Panel("Episodes per second", ("eps",)),
        Panel(
            "Seconds of a step",
            ("seconds/rollout", "seconds/scoring", "seconds/optimisation"),
        ),
    ),
    "rejection": _OF_SFT,
    "grpo": _OF_GROUPS,
    "rloo": _OF_GROUPS,
    "dpo": (
        Panel(
            "Loss", ("loss",), "ln 2 = 0.693 is where it begins: no difference to the reference."
        ),
        Panel(
            "Accuracy",
            ("rewards/accuracies",),
            "Share of pairs it moved the right way: 0 until the first update.",
        ),
        Panel("Margin", ("rewards/margins",), "Implied reward of chosen minus rejected."),
        Panel(
            "Implied rewards",
            ("rewards/chosen", "rewards/rejected"),
            "beta × log-ratio to the reference. Both falling: raise beta or the SFT weight.",
        ),
        Panel("Log-probabilities", ("logps/chosen", "logps/rejected"), "Nats per completion."),
        Panel("Entropy", ("entropy",), "Falling to 0 means one answer to everything."),
        Panel("Token accuracy", ("mean_token_accuracy",), "On what was chosen."),
        Panel("Gradient norm", ("grad_norm",), "Clipped at 1."),
        Panel("Learning rate", ("learning_rate",)),
    ),
    "kto": (
        Panel("Loss", ("loss",), "It begins at half the mean weight of the rows."),
        Panel("Margin", ("rewards/margins",), "Implied reward of good ones minus bad ones."),
        Panel(
            "Implied rewards",
            ("rewards/chosen", "rewards/rejected"),
            "beta × log-ratio to the reference, of good (chosen) and bad (rejected) ones.",
        ),
        Panel("KL to the reference", ("kl",), "Nats, estimated on completions of other prompts."),
        Panel("Log-probabilities", ("logps/chosen", "logps/rejected"), "Nats per completion."),
        Panel("Entropy", ("entropy",), "Falling to 0 means one answer to everything."),
        Panel("Gradient norm", ("grad_norm",), "Clipped at 1."),
        Panel("Learning rate", ("learning_rate",)),
    ),
}
