"""The strong student: LLaVA-OneVision with a motion branch, which reads a pair of videos and says one of five words."""
