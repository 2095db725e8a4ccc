"""What happens here that others may want to hear of. Never rules: nothing here depends on it."""

from __future__ import annotations

from django.dispatch import Signal

replies_wanted = Signal()
"""A turn of a conversation begins to wait for replies. Sent on commit; without a receiver the
turn is found by whoever looks for waiting turns next."""

annotated = Signal()
"""Somebody said something about an item, or took it back: project_id, kind (annotation.created,
annotation.retracted), annotation_id, item_id and more ids. Sent inside the transaction, so that
what a receiver writes is there exactly if the annotation is. Imports send nothing."""

flag_decided = Signal()
"""Somebody decided about a flag: decision. Sent inside the transaction."""

kind_decided = Signal()
"""An owner decided by hand who may do a kind of work, or left it to the rules: decision, action,
reason, decided_by. Sent inside the transaction."""

member_changed = Signal()
"""An owner brought somebody in, gave them another role, paused, resumed or removed them:
membership, action, reason, made_by. Sent inside the transaction."""

import_waits = Signal()
"""A file is to be imported, or there is more of it than was imported where it was started. Sent
on commit, with `import_id`; without a receiver it is found by whoever looks for waiting imports
next."""

file_kept = Signal()
"""A file that is to be imported lies in `folder`, in full. Without a receiver it lies there alone:
on the only machine, or in a folder that all of them share."""

file_wanted = Signal()
"""The file in `folder` is about to be read; `beat` is called while it is brought to this machine. A
receiver that cannot bring it raises a ServiceError."""

file_removed = Signal()
"""Nobody needs the file in `folder` any more, on any machine."""
