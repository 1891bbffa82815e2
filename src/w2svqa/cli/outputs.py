"""The three ways to print scores, each in input order, each complete also when the batch is cut short."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from w2svqa.cli.console import show, uses_ascii
from w2svqa.cli.exits import say
from w2svqa.cli.interrupts import held
from w2svqa.core.records import Score
from w2svqa.report.rows import CSV_COLUMNS, csv_line, score_to_cells, score_to_dict, to_json
from w2svqa.report.terminal import score_table


class Output(ABC):
    """Prints rows in input order, whatever the order in which they are finished.

    Leaving it, by an error or Ctrl-C too, prints the finished rows that still waited for an earlier one.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Score] = {}
        self._next = 0

    def add(self, index: int, score: Score) -> None:
        """Take the row of input ``index`` and print what is due."""
        with held():
            self._waiting[index] = score
            while self._next in self._waiting:
                self._print(self._waiting.pop(self._next))
                self._next += 1

    def __enter__(self) -> Self:
        with held():
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, BrokenPipeError):
            return
        with held():
            for index in sorted(self._waiting):
                self._print(self._waiting[index])
            self._end()

    def _begin(self) -> None:  # noqa: B027 - not all outputs have a header
        """Print what comes before the rows."""

    @abstractmethod
    def _print(self, score: Score) -> None:
        """Print one row."""

    def _end(self) -> None:  # noqa: B027 - not all outputs have an end
        """Print what comes after the rows."""


class JsonOutput(Output):
    """One JSON array, an object per line; valid at any end."""

    _separator = "["

    def _print(self, score: Score) -> None:
        sys.stdout.write(f"{self._separator}\n{to_json(score_to_dict(score))}")
        sys.stdout.flush()
        self._separator = ","

    def _end(self) -> None:
        say("[]" if self._separator == "[" else "\n]")
        sys.stdout.flush()


class CsvOutput(Output):
    """CSV with a header, each row flushed; bytes of names that are not UTF-8 come out as they are."""

    def _begin(self) -> None:
        self._write(CSV_COLUMNS)

    def _print(self, score: Score) -> None:
        self._write(score_to_cells(score))

    def _write(self, cells: Sequence[str]) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(csv_line(cells))
        sys.stdout.buffer.flush()


class TableOutput(Output):
    """A table for people, printed at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._scores: list[Score] = []

    def _print(self, score: Score) -> None:
        self._scores.append(score)

    def _end(self) -> None:
        if self._scores:
            show(score_table(self._scores, ascii_only=uses_ascii(sys.stdout)))
