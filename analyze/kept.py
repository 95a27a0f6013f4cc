"""Answers that are known already: found before by this process, or kept beside the trace by another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from .. import __version__
from ..schemas import VALUES
from .answers import Answers
from .cache import Cache
from .effort import Effort
from .question import Question
from .reading import TraceFile

#: Traces with fewer events are read again: that takes no longer.
LARGE = 1 << 20


class Kept:
    """The answers to questions about the trace `file`."""

    def __init__(self, file: TraceFile, effort: Effort) -> None:
        self._file = file
        self._known: list[tuple[Question, Answers]] = []
        wanted = effort.cache and file.rows >= LARGE
        self._cache = Cache(file.path, effort.owner) if wanted else None
        self._content = file.identity() if wanted else None

    def find(self, question: Question) -> Answers | None:
        """The answer to a question, or to one that asks for more."""
        for known, answers in self._known:
            if known.covers(question):
                return answers
        for key, asked in self._keys(question):
            raw = self._cache.get(key) if self._cache is not None else None
            found = None if raw is None else _read(raw, asked)
            if found is not None:
                self._known.append((asked, found))
                return found
        return None

    def keep(self, question: Question, answers: Answers) -> None:
        self._known.append((question, answers))
        for key, _ in self._keys(question):
            if self._cache is not None:
                self._cache.put(key, question.memory.to_bytes(8, "little") + answers.to_bytes())
            return

    def _keys(self, question: Question) -> Iterator[tuple[str, Question]]:
        """Under which names an answer may be kept, its own first."""
        if self._content is None:
            return
        count = max(self._file.metadata["args"], 0)
        everything = replace(question, columns=(*VALUES[:-1][:count], VALUES[-1]))
        for asked in dict.fromkeys((question, everything)):
            yield f"{__version__} {self._content} {asked.key()}", asked


def _read(raw: bytes, question: Question) -> Answers | None:
    """Answers, unless there is memory now for more exact ones."""
    try:
        answers = Answers.from_bytes(raw[8:])
    except (pa.ArrowException, ValueError, KeyError):
        return None  # of another version
    memory = int.from_bytes(raw[:8], "little")
    return None if any(answers.inexact) and memory < question.memory // 2 else answers
