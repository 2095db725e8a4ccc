"""Whether a checkpoint that was made again is the same."""

from __future__ import annotations

from dataclasses import dataclass

from training.models import Checkpoint, Run


@dataclass(frozen=True)
class Rebuild:
    """A repeated run, and how what it made compares with the original."""

    original: Checkpoint
    run: Run
    made: Checkpoint | None
    """None until it has ended, or where it was deleted since."""
    differing: list[str]
    """Files that are not the same, or that only one of the two has."""
    reasons: list[str]
    """What else was not the same: the code, the device."""

    @property
    def is_identical(self) -> bool:
        return self.made is not None and not self.differing


def rebuilds_of(checkpoint: Checkpoint) -> list[Rebuild]:
    """Return the runs that repeated the one that made this checkpoint, newest first."""
    runs = Run.objects.filter(
        project=checkpoint.project_id, request__rebuilds=checkpoint.pk
    ).order_by("-id")
    return [_compare(checkpoint, run) for run in runs.select_related("checkpoint")]


def rebuild_that_made(checkpoint: Checkpoint) -> Rebuild | None:
    """Return how this checkpoint compares with the one that it was to be made again."""
    run = checkpoint.run
    number = run.request.get("rebuilds") if run else None
    if run is None or number is None:
        return None
    original = Checkpoint.objects.select_related("run").filter(id=number).first()
    return _compare(original, run) if original else None


def _compare(original: Checkpoint, run: Run) -> Rebuild:
    made: Checkpoint | None = getattr(run, "checkpoint", None)
    if made is None:
        return Rebuild(original, run, None, [], [])
    ours, theirs = original.manifest.get("files", {}), made.manifest.get("files", {})
    differing = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    return Rebuild(original, run, made, differing, list(_reasons(original, made)))


def _reasons(original: Checkpoint, made: Checkpoint) -> list[str]:
    versions = [
        one.manifest.get("provenance", {}).get("code_version", "unknown")
        for one in (original, made)
    ]
    devices = [one.run.device if one.run else "" for one in (original, made)]
    found = []
    if versions[0] != versions[1]:
        found.append(f"code version {versions[0]} then, {versions[1]} now")
    if devices[0] != devices[1]:
        found.append(f"device {devices[0] or 'unknown'} then, {devices[1] or 'unknown'} now")
    return found
