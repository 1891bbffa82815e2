"""The distortion simulators: spatial and streaming (temporal ones join them here)."""

from w2svqa.distort.simulators import SIMULATORS, Simulator, distort_frame, distort_video

__all__ = ["SIMULATORS", "Simulator", "distort_frame", "distort_video"]
