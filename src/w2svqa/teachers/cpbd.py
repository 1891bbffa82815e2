"""CPBD as a teacher: the share of edges whose blur nobody would notice, see :mod:`w2svqa.core.cpbd`."""

from __future__ import annotations

from w2svqa.core.cpbd import BLOCK, sharpness
from w2svqa.core.errors import StrPath
from w2svqa.teachers.frames import FrameTeacher, Grey

__all__ = ["BLOCK", "Cpbd", "sharpness"]


class Cpbd(FrameTeacher):
    """CPBD of the key frames: 0 (blurred) to 1 (sharp)."""

    name = "cpbd"
    higher_is_better = True
    range = (0.0, 1.0)
    needs_parameters = False
    least_size = BLOCK

    @classmethod
    def load(cls, parameters: StrPath | None) -> Cpbd:
        """Return the teacher; it has no parameters, and any folder that is named is left alone."""
        del parameters
        return cls("1")

    def _judge(self, grey: Grey) -> float:
        return sharpness(grey)
