"""Score and compare videos with a student bundle: decode, encode, judge against the anchors, place on the scale."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import BundleError, ConfigError, MediaError, StrPath, W2SVQAError, printable
from w2svqa.core.executor import make_executor, works_here
from w2svqa.core.levels import LEVELS
from w2svqa.core.memory import return_large_buffers
from w2svqa.core.protocols import Costly, Diagnostician
from w2svqa.core.records import Comparison, Reason, Score, Status, Tokens
from w2svqa.preference.forms import Form
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import judge_both, preferences
from w2svqa.stages.reasons import gather_reasons
from w2svqa.students.bundle import Bundle, load_bundle
from w2svqa.video.ahead import closing_if_needed, reading_ahead
from w2svqa.video.decode import open_clip

Rows = Generator[tuple[int, Score], None, None]
"""Pairs of an index and a row; closing it stops what is under way."""


class Scorer:
    """Scores and compares files with one student.

    A file gets the same score alone, in a batch, and with any number of workers.

    Args:
        bundle: a student with its anchors and scale, from :func:`w2svqa.students.bundle.load_bundle`.
        form: how preferences become a score: ``"anchored"`` (the default: fixed anchors, exact MAP), ``"joint"`` (the
            paper's) or ``"released"`` (the authors' code, its errors included); docs/scoring.md compares them.
        each_second: whether every second is scored by itself as well; ``None`` leaves it to the student, and only a
            costly one says no.

    Raises:
        BundleError: the bundle's scale cannot be used.

    Example:
        >>> import tempfile
        >>> from w2svqa.video.scene import write_scene
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_scene(f"{folder}/clip.mkv", width=160, height=96, seconds=2, fps=5)
        ...     result = Scorer.load().score(f"{folder}/clip.mkv")
        >>> result.status, result.low <= result.value <= result.high, len(result.seconds)
        ('ok', True, 2)
    """

    def __init__(self, bundle: Bundle, *, form: Form = "anchored", each_second: bool | None = None) -> None:
        try:
            scale = replace(Scale.from_dict(bundle.scale_mapping), form=form)
            self._judge = AnchoredJudge(bundle.student, bundle.anchors, scale)
        except ValueError as error:
            raise BundleError(
                f"its scale cannot be used: {error}", path=bundle.folder, remedy="export the bundle again"
            ) from None
        self._bundle = bundle
        wanted = not isinstance(bundle.student, Costly) or bundle.student.each_second
        self._each_second = wanted if each_second is None else each_second
        self._source: _Source = _Source(bundle=bundle, form=form, each_second=each_second)

    @classmethod
    def load(
        cls,
        student: StrPath | None = None,
        *,
        form: Form = "anchored",
        each_second: bool | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Scorer:
        """Load a student bundle.

        Args:
            student: name of a shipped student, a bundle's folder, or ``OWNER/NAME`` on the Hugging Face hub; ``None``
                for the compact student that ships inside the package.
            form: as in the constructor.
            each_second: as in the constructor.
            options: how the student is run, as in :func:`w2svqa.students.bundle.load_bundle`.

        Raises:
            BundleError: there is no such bundle, or it is damaged, incomplete or from another version.
            ConfigError: the student has no such option, or not this value.
            MissingExtraError: the student, or fetching it from the hub, needs a package that is not installed.
        """
        scorer = cls(load_bundle(student, options), form=form, each_second=each_second)
        # by name, because a loaded network cannot be sent to another process
        scorer._source = _Source(student=student, form=form, each_second=each_second, options=options)
        return scorer

    @property
    def name(self) -> str:
        """Name and version of the student, with the form of the score where it is not the default."""
        form = self._judge.scale.form
        return self._bundle.student.name + ("" if form == "anchored" else f" ({form} form)")

    @property
    def judge(self) -> AnchoredJudge:
        """The student with its anchors and scale, for tokens that :meth:`encode` made."""
        return self._judge

    def encode(self, path: StrPath) -> Tokens:
        """Return the student's tokens of a file, float32 ``(seconds, ...)``, or of what can be decoded of it.

        Raises:
            InputError: as :meth:`score`.
        """
        return self._watch(path).tokens

    def score(self, path: StrPath) -> Score:
        """Score one video or still image.

        Args:
            path: a local file.

        Returns:
            The score with its interval, the score of each second unless they are not to be scored, likely distortions
            and where they are; status ``"partial"`` with a message where only a part of the file decoded.

        Raises:
            InputError: the file is missing, unreadable, refused or no video or image.
        """
        seen = self._watch(path)
        tokens = seen.tokens
        # the whole and each second against the same anchors, in one batch
        parts = range(len(tokens) if self._each_second else 0)
        batch = self._judge.score([tokens, *(tokens[second : second + 1] for second in parts)])
        value, *seconds = batch.value.tolist()
        raw, *raw_seconds = batch.raw.tolist()
        return Score(
            path=seen.path,
            status=seen.status,
            value=value,
            low=float(batch.low[0]),
            high=float(batch.high[0]),
            raw=raw,
            seconds=tuple(seconds),
            reasons=self._diagnose(tokens, raw_seconds),
            notes=(*seen.notes, *self._student_notes(tokens), *self._score_notes(raw, len(tokens))),
            message=seen.message,
            student=self.name,
        )

    def score_many(self, paths: Iterable[StrPath], *, workers: int = 1) -> Rows:
        """Score many files; one that cannot be scored becomes a row with status ``"error"``, and the rest goes on.

        Args:
            paths: local files.
            workers: processes that score files side by side. More than one needs the usual
                ``if __name__ == "__main__":`` around the calling script, for the processes are started afresh. A
                worker that dies (in a codec, out of memory) takes no other file with it.

        Yields:
            The index of the path in ``paths`` and its row, as soon as it is finished: in input order with one worker,
            in the order of finishing with more. Closing the iterator stops the workers.

        Raises:
            ConfigError: fewer than one worker.
            W2SVQAError: a worker could not be started. Faults of the program are raised too; they never turn into
                rows.
        """
        if workers < 1:
            raise ConfigError(f"{workers} workers", remedy="ask for 1 or more")
        if works_here(workers):
            return ((index, self._row(os.fspath(path))) for index, path in enumerate(paths))
        return self._score_in_processes(paths, workers)

    def compare(self, first: StrPath, second: StrPath) -> Comparison:
        """Compare two files: how the second one's quality compares with the first one's.

        Returns:
            Level, five probabilities and the preference for the second; exchanging the files mirrors all three.

        Raises:
            InputError: a file is missing, unreadable, refused or no video or image.
        """
        left, right = self._watch(first), self._watch(second)
        temperature = self._judge.scale.temperature
        probabilities = judge_both(self._bundle.student, [left.tokens], [right.tokens], temperature)
        inferior, worse, similar, better, superior = probabilities[0].tolist()
        problems = [f"{printable(seen.path)}: {seen.message}" for seen in (left, right) if seen.message is not None]
        return Comparison(
            first=left.path,
            second=right.path,
            level=_most_probable(probabilities[0]),
            probabilities=(inferior, worse, similar, better, superior),
            preference=float(preferences(probabilities)[0]),
            status="partial" if problems else "ok",
            notes=tuple(
                f"{printable(seen.path)}: {note}"
                for seen in (left, right)
                for note in (*seen.notes, *self._student_notes(seen.tokens))
            ),
            message="; ".join(problems) or None,
            student=self.name,
        )

    def _watch(self, path: StrPath) -> _Seen:
        student = self._bundle.student
        return_large_buffers()  # or an hour takes more memory than a minute
        try:
            clip = open_clip(path, student.clip_spec)
            with reading_ahead(clip) as chunks:
                tokens = student.encode(chunks)
        except MemoryError:
            remedy = "close other programs, or use fewer workers"
            raise MediaError("not enough memory to score it", path=path, remedy=remedy) from None
        except _system_errors() as error:
            problem = f"{type(error).__name__}: {error}"
            raise MediaError(problem, path=path, remedy="check the file, or copy it again") from None
        return _Seen(path=os.fspath(path), tokens=tokens, notes=clip.notes, problem=clip.problem)

    def _student_notes(self, tokens: Tokens) -> tuple[str, ...]:
        student = self._bundle.student
        return student.notes(tokens) if isinstance(student, Costly) else ()

    def _score_notes(self, raw: float, seconds: int) -> Iterator[str]:
        """What a reader of the score must know beside the way the file was read."""
        form = self._judge.scale.form
        if form == "released":
            yield "the released form has no interval"
        elif form == "joint":
            yield "the interval and the 0-100 scale were fitted for the anchored form"
        elif seconds == 1:
            yield "one second: the interval was measured on longer clips"
        if form != "released" and not 0 <= raw <= 100:
            yield f"beyond the scale: {raw:.1f} before clipping to 0-100"

    def _diagnose(self, tokens: Tokens, scores: Sequence[float]) -> tuple[Reason, ...]:
        student = self._bundle.student
        if not isinstance(student, Diagnostician):
            return ()
        each = student.diagnose_seconds(tokens) if scores else ()
        return gather_reasons(student.diagnose(tokens), each, scores)

    def _row(self, path: str) -> Score:
        """Return the score of a file, or its error as a row. A fault of the program is neither: it is raised."""
        try:
            return self.score(path)
        except W2SVQAError as error:
            return self._error_row(path, error.without_path)

    def _error_row(self, path: str, message: str) -> Score:
        return Score(path=path, status="error", message=printable(message), student=self.name)

    def _score_in_processes(self, paths: Iterable[StrPath], workers: int) -> Rows:
        executor = make_executor(workers, initializer=_prepare_worker, initargs=(self._source,), retries=0)
        outcomes = executor.map(_score_in_worker, (os.fspath(path) for path in paths))
        with closing_if_needed(outcomes):
            for outcome in outcomes:
                if outcome.value is not None:
                    yield outcome.index, outcome.value
                elif outcome.error is not None and outcome.error.path is not None:
                    # the process died over this file; the executor names the file only then
                    yield outcome.index, self._error_row(outcome.key, outcome.error.without_path)
                elif outcome.error is not None:
                    raise outcome.error


@lru_cache(maxsize=4)
def default_scorer(student: str | None = None) -> Scorer:
    """Return the scorer of a student, loaded once.

    Raises:
        BundleError: as :meth:`Scorer.load`.
    """
    return Scorer.load(student)


def score(path: StrPath, *, student: StrPath | None = None) -> Score:
    """Score one video or still image; see :meth:`Scorer.score`.

    Args:
        path: a local file.
        student: as in :meth:`Scorer.load`; it is loaded once and kept.

    Raises:
        InputError: the file cannot be scored.
        BundleError: the student cannot be loaded.

    Example:
        >>> import tempfile
        >>> from w2svqa.video.scene import write_scene
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_scene(f"{folder}/clip.mkv", width=160, height=96, seconds=1, fps=5)
        ...     result = score(f"{folder}/clip.mkv")
        >>> 0 <= result.value <= 100
        True
    """
    return default_scorer(None if student is None else os.fspath(student)).score(path)


def compare(first: StrPath, second: StrPath, *, student: StrPath | None = None) -> Comparison:
    """Compare two files; see :meth:`Scorer.compare`.

    Args:
        first: a local file.
        second: another, or the same.
        student: as in :meth:`Scorer.load`; it is loaded once and kept.

    Raises:
        InputError: a file cannot be compared.
        BundleError: the student cannot be loaded.

    Example:
        >>> import tempfile
        >>> from w2svqa.video.scene import write_scene
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_scene(f"{folder}/clip.mkv", width=160, height=96, seconds=1, fps=5)
        ...     verdict = compare(f"{folder}/clip.mkv", f"{folder}/clip.mkv")
        >>> round(verdict.preference, 3)
        0.5
    """
    return default_scorer(None if student is None else os.fspath(student)).compare(first, second)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is left of a file after the student has seen it."""

    path: str
    tokens: Tokens
    notes: tuple[str, ...]
    problem: str | None

    @property
    def status(self) -> Status:
        return "ok" if self.problem is None else "partial"

    @property
    def message(self) -> str | None:
        return None if self.problem is None else f"{self.problem} (copy it again to have all of it scored)"


def _most_probable(probabilities: NDArray[np.float64]) -> str:
    """Return the most probable level; among equals their middle, so that exchanging the videos mirrors the verdict."""
    equals = np.flatnonzero(probabilities == probabilities.max())
    return LEVELS[round(float(equals.mean()))]


def _system_errors() -> tuple[type[Exception], ...]:
    """Return what a file can cause below us: the system's errors, FFmpeg's, and ONNX Runtime's in a run, if in use."""
    if "onnxruntime" not in sys.modules:
        return OSError, av.error.FFmpegError
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

    return OSError, av.error.FFmpegError, Fail, RuntimeException


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """How a worker process gets its scorer: a bundle that can be sent, or what to load."""

    bundle: Bundle | None = None
    student: StrPath | None = None
    form: Form = "anchored"
    each_second: bool | None = None
    options: Mapping[str, str] | None = None

    def scorer(self) -> Scorer:
        if self.bundle is None:
            return Scorer.load(self.student, form=self.form, each_second=self.each_second, options=self.options)
        return Scorer(self.bundle, form=self.form, each_second=self.each_second)


_worker_scorers: list[Scorer] = []
"""In a worker process: its scorer."""


def _prepare_worker(source: _Source) -> None:
    _worker_scorers[:] = [source.scorer()]


def _score_in_worker(path: str) -> Score:
    return _worker_scorers[0]._row(path)
