"""Any student bundle as a teacher: ``student:PATH``."""

from __future__ import annotations

import math

from w2svqa.core.errors import BundleError, InputError, StrPath
from w2svqa.core.files import sha256_file
from w2svqa.core.protocols import Video
from w2svqa.networks.checkpoints import DIGEST_DIGITS
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import CARD, bundle_folder
from w2svqa.teachers.base import BaseTeacher

PREFIX = "student:"
"""What its names begin with; the rest is a bundle's folder or the name of a shipped one."""

_ARITHMETIC = 1


class StudentTeacher(BaseTeacher):
    """The score of a student before it is clipped to 0-100; higher is better.

    Not clipped, because what lies beyond the anchors would all be equal. Where only a part of a file can be decoded,
    that part is scored.

    Args:
        scorer: of the student.
        version: changes with the bundle and the arithmetic.
    """

    name = "student"
    higher_is_better = True
    range = (-math.inf, math.inf)
    needs_motion = True
    needs_parameters = False

    def __init__(self, scorer: Scorer, version: str) -> None:
        super().__init__(version)
        self._scorer = scorer

    @classmethod
    def load(cls, parameters: StrPath | None = None, *, argument: str = "") -> StudentTeacher:
        """Return the student of a bundle.

        Args:
            parameters: the bundle, where no argument names it.
            argument: its folder, or the name of a shipped one.

        Raises:
            BundleError: there is no such bundle, or it is damaged, incomplete or from another version.
        """
        bundle = argument or parameters
        card = bundle_folder(bundle) / CARD
        scorer = Scorer.load(bundle)
        try:
            digest = sha256_file(card)  # the card holds the hashes of all other files
        except OSError as error:
            raise BundleError(f"cannot be read: {error.strerror}", path=card, remedy="check its permissions") from None
        return cls(scorer, f"{_ARITHMETIC}+{digest[:DIGEST_DIGITS]}")

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video file; about 0 (as the worst simulated distortions) to 100 (as clean sources).

        Raises:
            InputError: it is no file, or cannot be scored.
        """
        del reference  # not needed
        value = self._scorer.score(video.info.path).raw
        if value is None:
            raise InputError("the student has no score for it", path=video.info.path, remedy="leave it out")
        return value
