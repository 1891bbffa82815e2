"""The command ``w2svqa`` with the brightness student in place of the shipped one.

Environment: ``FAKE_DELAY`` is its seconds of work per second of video.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# also in the worker processes, where this file is loaded as "__mp_main__"; not when a test run only looks for doctests
if __name__ in ("__main__", "__mp_main__"):
    sys.path.insert(0, str(Path(__file__).parents[1] / "stages"))

    from brightness_student import BrightnessStudent, brightness_bundle

    from w2svqa.core.errors import StrPath
    from w2svqa.stages import score
    from w2svqa.students.bundle import Bundle, load_bundle

    def _load(name_or_path: StrPath | None = None, options: Mapping[str, str] | None = None) -> Bundle:
        if name_or_path is not None:
            return load_bundle(name_or_path, options)
        return brightness_bundle(BrightnessStudent(float(os.environ.get("FAKE_DELAY", "0"))))

    vars(score)["load_bundle"] = _load

if __name__ == "__main__":
    from w2svqa.cli.app import main

    main()
