"""What people may send, checked before a service is called."""

from training.forms.checkpoints import (
    BaseForm,
    CompletionsForm,
    EvaluationForm,
    ExportForm,
    HubForm,
    PromotionForm,
)
from training.forms.configs import (
    MAIN_FIELDS,
    SNAPSHOT_CONTENT,
    TRAINED_STAGES,
    ConfigForm,
    config_fields,
    config_help,
    in_labels,
    label_of,
)
from training.forms.plain import MAX_REASON_CHARS, MOST_PROMPTS, PlainForm
from training.forms.runs import RunForm, posted, run_defaults
from training.forms.snapshots import FreezeForm, total_rows

__all__ = [
    "MAIN_FIELDS",
    "MAX_REASON_CHARS",
    "MOST_PROMPTS",
    "SNAPSHOT_CONTENT",
    "TRAINED_STAGES",
    "BaseForm",
    "CompletionsForm",
    "ConfigForm",
    "EvaluationForm",
    "ExportForm",
    "FreezeForm",
    "HubForm",
    "PlainForm",
    "PromotionForm",
    "RunForm",
    "config_fields",
    "config_help",
    "in_labels",
    "label_of",
    "posted",
    "run_defaults",
    "total_rows",
]
