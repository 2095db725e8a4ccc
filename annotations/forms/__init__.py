"""What people may send, checked before a service is called."""

from annotations.forms.fields import VerbatimField
from annotations.forms.guidelines import CaseForm, GuidelineForm, VersionsForm
from annotations.forms.projects import (
    ConversationsForm,
    MemberForm,
    MembershipChangeForm,
    PastePromptsForm,
    ProjectForm,
    ProjectSettingsForm,
    UploadForm,
    UploadPromptsForm,
)
from annotations.forms.ratings import (
    QuestionForm,
    RatingForm,
    rows_changed,
    rows_of,
    rows_sent,
)
from annotations.forms.work import (
    ComparisonForm,
    ConversationForm,
    DemonstrationForm,
    RankingForm,
    SkipForm,
    StartForm,
)
from annotations.forms.writing import (
    AssemblyForm,
    OwnPromptForm,
    ReviewForm,
    RewriteForm,
    StartConversationForm,
    part_name,
)

__all__ = [
    "AssemblyForm",
    "CaseForm",
    "ComparisonForm",
    "ConversationForm",
    "ConversationsForm",
    "DemonstrationForm",
    "GuidelineForm",
    "MemberForm",
    "MembershipChangeForm",
    "OwnPromptForm",
    "PastePromptsForm",
    "ProjectForm",
    "ProjectSettingsForm",
    "QuestionForm",
    "RankingForm",
    "RatingForm",
    "ReviewForm",
    "RewriteForm",
    "SkipForm",
    "StartConversationForm",
    "StartForm",
    "UploadForm",
    "UploadPromptsForm",
    "VerbatimField",
    "VersionsForm",
    "part_name",
    "rows_changed",
    "rows_of",
    "rows_sent",
]
