"""What may stand in an address beside what Django knows."""

from __future__ import annotations

from django.urls.converters import StringConverter


class Anything(StringConverter):
    """All that follows. Django's own `path` ends before a line break, which may come as %0A."""

    regex = r"[\s\S]+"
