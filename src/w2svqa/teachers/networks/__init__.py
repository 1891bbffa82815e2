"""Architectures of the networks among the teachers, one file each, with the keys of the official checkpoints."""
