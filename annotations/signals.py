"""What happens here that others may want to hear of at once. Hints, never rules."""

from __future__ import annotations

from django.dispatch import Signal

replies_wanted = Signal()
"""A turn of a conversation begins to wait for replies. Sent on commit; without a receiver the
turn is found by whoever looks for waiting turns next."""

cases_published = Signal()
"""A version of guidelines with cases is in force. Sent on commit; without a receiver the cases wait
until somebody asks reward models for their scores."""
