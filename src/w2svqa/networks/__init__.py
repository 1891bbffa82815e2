"""Architectures and checkpoints that more than one tier uses: a teacher and a student may stand on the same network."""
