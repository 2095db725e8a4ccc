"""Static files under names that change with their content, inside modules too."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Modules import each other by hashed names, so that a browser never mixes two versions."""

    support_js_module_import_aggregation = True
