"""Teachers: models and metrics that score a video by themselves, well or badly; found by `registry`."""
