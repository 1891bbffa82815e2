"""The distortion simulators: spatial, temporal and streaming; on frames, on small pictures and on files."""

from w2svqa.distort.files import distort_mixture, distort_video
from w2svqa.distort.frames import distort_frame, distort_frames, distort_reduced, shown_indices
from w2svqa.distort.simulators import SIMULATORS, UNSEEN_CODECS, Simulator, simulator

__all__ = [
    "SIMULATORS",
    "UNSEEN_CODECS",
    "Simulator",
    "distort_frame",
    "distort_frames",
    "distort_mixture",
    "distort_reduced",
    "distort_video",
    "shown_indices",
    "simulator",
]
