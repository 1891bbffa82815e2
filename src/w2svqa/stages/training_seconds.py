"""student + kept seconds -> tokens: what a student with a vision tower makes of the versions it may learn from next.

Of each version one second, the middle one, as for the compact student: at full size it is 2.8 MB of tokens, which a
file keeps, so that a killed run goes on where it stopped. This process alone works, for it holds the student.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from w2svqa.core.executor import SerialExecutor
from w2svqa.core.records import Tokens
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.rows import VersionRow
from w2svqa.stages.token_files import TokenFile
from w2svqa.stages.training_tokens import ClipVersions, refuse_errors
from w2svqa.students.seconds import Seconds, read_seconds

_Names = tuple[str, ...]


def kept_tokens(
    clips: Sequence[ClipVersions],
    look: Callable[[Seconds], Tokens],
    folder: Path,
    fingerprint: str,
    *,
    kept: Path,
    progress: Callable[[int, int, str], None],
) -> dict[str, Tokens]:
    """Return the tokens of versions by version id, float32 ``(1, ...)`` each, read from disk where they are used.

    Args:
        clips: versions of the training split, clip by clip.
        look: the student's.
        folder: of the tokens and their journal.
        fingerprint: of all that they depend on.
        kept: folder of the distort stage.
        progress: called as ``progress(done, total, name)``.

    Raises:
        StoreError: a file is missing or damaged, or the tokens cannot be written.
    """
    ends = np.cumsum([len(clip.rows) for clip in clips]).tolist()
    starts = {clip.clip_id: end - len(clip.rows) for clip, end in zip(clips, ends, strict=True)}
    file = TokenFile(folder / "tokens.npy", ends[-1] if ends else 0)

    def encode(clip: ClipVersions) -> _Names:
        file.write(starts[clip.clip_id], np.concatenate([look(_middle(kept, row)) for row in clip.rows]))
        return _names(clip)

    journal: Kept[ClipVersions, _Names] = Kept(
        path=folder / "journal.jsonl",
        fingerprint=fingerprint,
        key=lambda clip: clip.clip_id,
        name=lambda clip: clip.clip_id,
        encode=list,
        decode=lambda value: tuple(value) if isinstance(value, list) else (),
        holds=lambda clip, names: names == _names(clip),
    )
    _, errors = map_resumed(encode, clips, journal, progress=progress, executor=SerialExecutor())
    refuse_errors(errors, kept)
    return {
        row.version_id: file.read(starts[clip.clip_id] + place, starts[clip.clip_id] + place + 1)
        for clip in clips
        for place, row in enumerate(clip.rows)
    }


def _names(clip: ClipVersions) -> _Names:
    return tuple(row.version_id for row in clip.rows)


def _middle(kept: Path, row: VersionRow) -> Seconds:
    seconds = read_seconds(kept / row.views, row.row)
    return seconds[len(seconds) // 2 :][:1]
