"""What Gunicorn itself says, in the lines that all other processes write.

Its main process reads no settings: whoever starts it (`labelstudio_llm.process`) says how lines are
written.
"""

from __future__ import annotations

import os
from typing import Any

from gunicorn.glogging import Logger

from labelstudio_llm.logs import JsonFormatter


class Lines(Logger):
    """Writes JSON where LOG_FORMAT says so."""

    def setup(self, cfg: Any) -> None:
        """Give the handlers that were made the formatter of all other lines."""
        super().setup(cfg)
        if os.environ.get("LOG_FORMAT") == "json":
            for handler in self.error_log.handlers:
                handler.setFormatter(JsonFormatter())
