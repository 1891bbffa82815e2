"""Checkpoints of the strong student: a folder in the format of the hub, and beside it what the motion branch needs.

```
config.json, model*.safetensors, tokenizer.json   LLaVA-OneVision as on the hub
motion.safetensors                                projector.* and slowfast.* (fast pathway alone), ours
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.core.extras import require
from w2svqa.core.random import generator
from w2svqa.networks.slowfast import CLASSIFIER, SlowFast, SlowFastShape
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.motion import MotionEncoder, MotionProjector
from w2svqa.students.llava.prompt import END, PAIR, SINGLE, START, Encode, prompt_ids

RANDOM_TINY: Final = "random-tiny"
"""A name in place of a checkpoint: tiny random networks and a tokenizer made on the spot, for tests and trials."""
