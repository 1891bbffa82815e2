"""A training to launch: ``launched.py -m w2svqa train FOLDER --stage K``, where in stage 2 one process crashes."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from dataclasses import replace
from pathlib import Path

from train_pool import SHORT

CONFIG = replace(SHORT, learning_rate=2e-5, steps=4, checkpoint_steps=2, log_steps=1)


def main() -> None:
    """Train the pool that is in the folder."""
    folder, stage = Path(sys.argv[4]), sys.argv[6]
    pool = pickle.loads((folder / "pool.pickle").read_bytes())

    def show(step: int, steps: int, text: str) -> None:
        sys.stderr.write(f"w2svqa: train {step}/{steps} {text}\n")

    if stage == "2" and os.environ["RANK"] == "1":
        threading.Timer(1, os._exit, [7]).start()
    pool.train(folder / "train", CONFIG if stage == "1" else replace(CONFIG, steps=100_000), show)


if __name__ == "__main__":
    main()
