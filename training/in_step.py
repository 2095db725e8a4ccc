"""Two texts that are shown as they are written, so that how fast each comes says nothing.

Both are shown to the same character: as far as the slower one has come. When one has ended and the
other goes on, the rest waits until that has ended, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class InStep:
    """Two texts, how far they have come, and how far they are shown."""

    texts: list[str] = field(default_factory=lambda: ["", ""])
    ended: set[int] = field(default_factory=set)
    shown: int = 0

    def add(self, side: int, text: str) -> tuple[str, str]:
        """Take in the next piece of a side and return what both show more of."""
        self.texts[side] += text
        return self._release(min(map(len, self.texts)))

    def end(self, side: int) -> tuple[str, str]:
        """Take in that a side has ended and return what both show more of."""
        self.ended.add(side)
        if len(self.ended) < len(self.texts):
            return "", ""
        return self._release(max(map(len, self.texts)))

    def _release(self, until: int) -> tuple[str, str]:
        left, right = (text[self.shown : until] for text in self.texts)
        self.shown = max(self.shown, until)
        return left, right
