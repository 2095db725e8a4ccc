"""The whole installation in one place, and back: `manage.py backup` and `manage.py restore`."""

from labelstudio_llm.backups.archive import Archive, BackupError
from labelstudio_llm.backups.making import back_up
from labelstudio_llm.backups.restoring import restore

__all__ = ["Archive", "BackupError", "back_up", "restore"]
