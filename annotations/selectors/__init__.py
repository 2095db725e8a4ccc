"""What pages read."""

from annotations.selectors.answers import (
    Correction,
    correction_of,
    fields_of,
    in_words,
)
from annotations.selectors.guidelines import (
    guideline_draft,
    guideline_history,
    guideline_in_force,
    guideline_preview,
    known_guideline,
)
from annotations.selectors.history import (
    AnnotationRecord,
    OwnStatistics,
    Previous,
    annotations_of,
    assignments_of,
    begun_corrections,
    own_history,
    own_statistics,
    previous_of,
    records_of,
)
from annotations.selectors.members import (
    members_of,
    prompts_of,
    prompts_to_converse_about,
)
from annotations.selectors.progress import (
    HomeCard,
    Progress,
    QueueCount,
    home_cards,
    progress_at_work,
    progress_for,
    queue_counts,
    work_waiting_for,
)
from annotations.selectors.quality import (
    AgreementReport,
    agreement_report,
)
from annotations.selectors.queue import (
    items_open_to,
    limit_reached,
    shown_completions,
)
from annotations.selectors.tickets import (
    REPORTABLE,
    check_in_words,
    objections_to_check,
    reportable_completions,
    reported_checkpoints,
    tickets_by_state,
    tickets_of,
)
from annotations.selectors.turns import Standing, standing_of, turns_of

__all__ = [
    "REPORTABLE",
    "AgreementReport",
    "AnnotationRecord",
    "Correction",
    "HomeCard",
    "OwnStatistics",
    "Previous",
    "Progress",
    "QueueCount",
    "Standing",
    "agreement_report",
    "annotations_of",
    "assignments_of",
    "begun_corrections",
    "check_in_words",
    "correction_of",
    "fields_of",
    "guideline_draft",
    "guideline_history",
    "guideline_in_force",
    "guideline_preview",
    "home_cards",
    "in_words",
    "items_open_to",
    "known_guideline",
    "limit_reached",
    "members_of",
    "objections_to_check",
    "own_history",
    "own_statistics",
    "previous_of",
    "progress_at_work",
    "progress_for",
    "prompts_of",
    "prompts_to_converse_about",
    "queue_counts",
    "records_of",
    "reportable_completions",
    "reported_checkpoints",
    "shown_completions",
    "standing_of",
    "tickets_by_state",
    "tickets_of",
    "turns_of",
    "work_waiting_for",
]
