"""What training may read: typed rows, in the order of the annotations behind them.

Every row knows its annotation, its annotator (under a pseudonym), the guideline version that was
in force, and the split of its prompt. Superseded and retracted annotations are left out. Each
function holds a few thousand rows in memory at a time, however large the project is.
"""

from annotations.exports.arena import ArenaRow, arena_counts, arena_votes
from annotations.exports.battles import EvaluationVote, battles, evaluation_votes
from annotations.exports.files import (
    EXPORTS,
    MEDIA_TYPES,
    Export,
    export_name,
    exports_of,
    write_export,
)
from annotations.exports.guidelines import (
    GUIDELINES,
    CaseRow,
    cases_in_force,
    draft_cases,
    guideline_cases,
)
from annotations.exports.items import finished_overlap
from annotations.exports.judgements import (
    PreferenceCounts,
    judgements,
    preference_counts,
    preferences,
    ratings,
    ties,
)
from annotations.exports.origins import origin_prefix
from annotations.exports.prompts import annotators, prompts, prompts_with_tag, tags
from annotations.exports.recalls import (
    Recallable,
    Recalled,
    count_held_out,
    count_judgements,
    count_recalled,
    describe,
    fitting,
    recallable,
    recalls,
    what_fits,
)
from annotations.exports.regressions import (
    RegressionRow,
    RewriteOfTicket,
    regression_cases,
    rewrite_of,
)
from annotations.exports.rows import (
    AnnotatedRow,
    BattleRow,
    DemonstrationRow,
    JudgedRow,
    PreferenceRow,
    PromptRow,
    RatingRow,
    TieRow,
    counted_annotations,
    pseudonym,
)
from annotations.exports.sides import left_completions
from annotations.exports.state import one_state
from annotations.exports.texts import ReviewCounts, demonstrations, review_counts
from annotations.exports.votes import VoteCounts, VoteRow, vote_counts, votes, withdrawn_votes
from annotations.models import Recall, counted, in_force, recalled, recalls_in_force

__all__ = [
    "EXPORTS",
    "GUIDELINES",
    "MEDIA_TYPES",
    "AnnotatedRow",
    "ArenaRow",
    "BattleRow",
    "CaseRow",
    "DemonstrationRow",
    "EvaluationVote",
    "Export",
    "JudgedRow",
    "PreferenceCounts",
    "PreferenceRow",
    "PromptRow",
    "RatingRow",
    "Recall",
    "Recallable",
    "Recalled",
    "RegressionRow",
    "ReviewCounts",
    "RewriteOfTicket",
    "TieRow",
    "VoteCounts",
    "VoteRow",
    "annotators",
    "arena_counts",
    "arena_votes",
    "battles",
    "cases_in_force",
    "count_held_out",
    "count_judgements",
    "count_recalled",
    "counted",
    "counted_annotations",
    "demonstrations",
    "describe",
    "draft_cases",
    "evaluation_votes",
    "export_name",
    "exports_of",
    "finished_overlap",
    "fitting",
    "guideline_cases",
    "in_force",
    "judgements",
    "left_completions",
    "one_state",
    "origin_prefix",
    "preference_counts",
    "preferences",
    "prompts",
    "prompts_with_tag",
    "pseudonym",
    "ratings",
    "recallable",
    "recalled",
    "recalls",
    "recalls_in_force",
    "regression_cases",
    "review_counts",
    "rewrite_of",
    "tags",
    "ties",
    "vote_counts",
    "votes",
    "what_fits",
    "withdrawn_votes",
    "write_export",
]
