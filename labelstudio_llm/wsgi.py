"""What Gunicorn serves."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")

NEW_OBJECTS = 10_000
"""How many more objects there are when garbage is looked for. A request leaves none that it would
take a search to find; Python looks after 700, which took a tenth of the time of a label."""

application = get_wsgi_application()

# What was loaded stays, so nobody need look through it for what can go.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
gc.set_threshold(NEW_OBJECTS, 20, 20)
