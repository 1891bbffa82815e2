"""A slow, deterministic teacher for ``label_resume.py``, found by an entry point as those of other packages are."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar, Self

from w2svqa.core.errors import StrPath
from w2svqa.core.protocols import Video

LOG = "W2SVQA_BENCHMARK_LOG"
"""Environment variable: the file to which a line is added for each video that is scored."""

SECONDS = "W2SVQA_BENCHMARK_SECONDS"
"""Environment variable: how long a video takes."""


class SlowTeacher:
    """The mean of the first frame, 0-255, after a while."""

    name: ClassVar[str] = "slow"
    version: ClassVar[str] = "1"
    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 255.0)
    needs_reference: ClassVar[bool] = False
    needs_motion: ClassVar[bool] = False
    needs_parameters: ClassVar[bool] = False

    @classmethod
    def load(cls, parameters: StrPath | None) -> Self:
        """Return the teacher; it has no parameters."""
        del parameters
        return cls()

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the mean of the first frame, and say so in the log."""
        del reference
        time.sleep(float(os.environ[SECONDS]))
        [frame] = video.frames_at([0])
        with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
            log.write(f"{Path(video.info.path).name}\n")
        return float(frame.mean())


def install(folder: Path) -> None:
    """Write what makes ``folder``, if it is on the path, a package that brings the teacher."""
    facts = folder / "slow_teacher-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-teacher\nVersion: 1\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[w2svqa.teachers]\nslow = _slow_teacher:SlowTeacher\n", encoding="utf-8")
