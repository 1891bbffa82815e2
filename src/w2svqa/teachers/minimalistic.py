"""MinimalisticVQA VII and IX: a picture network on one key frame per second, with or without motion features.

Source: W. Sun et al., "Analysis of Video Quality Datasets via Design of Minimalistic Video Quality Models", TPAMI 2024
(arXiv 2307.13981). Sampling and preparation are those of the reference implementation's ``test_video.py`` with its
defaults: the frame in the middle of each second, counted by the rounded frame rate, of every whole second; made small
to 384 on its shorter side by OpenCV's bilinear interpolation, centre crop of 384 by 384, ImageNet's normalisation; for
motion the 32 frames around it, each squeezed to 224 by 224 by Pillow's bilinear filter. Fewer than 8 seconds are filled
up with the last one. (The figures of the paper for LSVQ, KoNViD-1k, LIVE-VQC and others take the first 8 seconds
alone.)

Departures:

- Videos of less than a second, for which the reference fails (IX) or judges black pictures (VII), and stills: their
  last frame is repeated.
- Rates below 0.5 per second count as 1; a file without a rate as 25.
- A square picture whose width the reference's arithmetic puts at 383 (11 in 47 pixels and others) is 384 wide.
- Frames come from this package's decoder (upright, square pixels, colours converted by the file's own tags).
- The filter to 224 by 224 is PyTorch's for 8-bit pictures: within 1 of 255 of Pillow's.
- Each frame is made small as it is decoded, and key frames go through the network ``batch`` at a time, clips one by
  one; a second that is only repeated is computed once.
- The score is what the network says. The reference puts it through a logistic function that was fitted to LSVQ, whose
  four numbers are a file of their own; that changes no order, and calibration does the like for all teachers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from w2svqa.core.errors import ConfigError, MissingInputError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.protocols import Video
from w2svqa.networks.checkpoints import (
    DIGEST_DIGITS,
    HUB,
    Checkpoint,
    fill,
    find_checkpoint,
    fitting_checkpoint,
    read_checkpoint,
)
from w2svqa.teachers.base import BaseTeacher, at_least_one
from w2svqa.teachers.frames import Frame, in_batches
from w2svqa.teachers.minimalistic_pictures import Second, key_picture, motion_clip, motion_picture, seconds_of

if TYPE_CHECKING:
    from torch import Tensor

    from w2svqa.networks.slowfast import SlowFast
    from w2svqa.teachers.networks.minimalistic import MinimalisticNetwork

ARITHMETIC = 1
MOTION_FILE = "SLOWFAST_8x8_R50.pyth"
MOTION_FEATURES = 256

_IGNORED = r".*\.relative_position_index"


class MinimalisticVii(BaseTeacher):
    """MinimalisticVQA VII: Swin-B on the middle frame of each second; the mean over seconds. Higher is better.

    The scale is open: the network was trained for correlation alone, so its values mean nothing but their order and
    proportion.

    Args:
        network: filled.
        version: changes with the parameters and the arithmetic.
        batch: key frames that go through the network together; rounding alone depends on it.
        device: where the network is, such as ``"cpu"``.

    Raises:
        ConfigError: ``batch`` is less than 1.
    """

    name = "minimalistic-vii"
    higher_is_better = True
    files = ("MinimalisticVQA_Model_VII_LSVQ.pth",)
    modules = (("torch", "train"), ("cv2", "train"))
    uses_device = True
    options: ClassVar[dict[str, int | float | str | bool]] = {"batch": 1}

    def __init__(self, network: MinimalisticNetwork, version: str, *, batch: int = 1, device: str = "cpu") -> None:
        super().__init__(version)
        self._network = network
        self._batch = at_least_one(batch, "batch", self.name)
        self._device = device

    @classmethod
    def load(cls, parameters: StrPath | None, *, batch: int = 1, device: str = "cpu") -> Self:
        """Return the teacher with the official checkpoint.

        Args:
            parameters: the checkpoint, or the folder with it.
            batch: see the class.
            device: see the class.

        Raises:
            ConfigError: nothing is named.
            MissingInputError: the checkpoint is not there.
            InputError: it is damaged, or belongs to another network; what is missing and what is too much is listed.
            MissingExtraError: PyTorch or OpenCV is not installed.
        """
        _require_modules(cls.modules)
        checkpoint = read_checkpoint(find_checkpoint(parameters, cls.files, cls.name))
        network = _filled(checkpoint, motion=0).to(device)
        return cls(network, checkpoint.version(ARITHMETIC), batch=batch, device=device)

    @classmethod
    def identify(cls, parameters: StrPath | None, *, batch: int = 1, device: str = "cpu") -> str:
        """Return the version that :meth:`load` would give, from the file alone; arguments and errors are the same."""
        del device  # as good as any
        at_least_one(batch, "batch", cls.name)
        _require_modules(cls.modules)
        return _fitting(find_checkpoint(parameters, cls.files, cls.name), motion=0).version(ARITHMETIC)

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video or a still, on an open scale; see the class.

        Raises:
            InputError: the video cannot be decoded, or its pictures are too narrow.
        """
        del reference  # not needed
        torch = require("torch", extra="train")
        seconds = seconds_of(video.count(), video.info.fps)
        values: dict[int, float] = {}
        with torch.inference_mode():
            for batch in in_batches(_each_once(video, [second.key for second in seconds]), self._batch):
                pictures = torch.stack([key_picture(frame) for _, frame in batch]).to(self._device)
                rated = self._network(pictures).reshape(-1).tolist()
                values |= zip((number for number, _ in batch), rated, strict=True)
        return math.fsum(values[second.key] for second in seconds) / len(seconds)


class MinimalisticIx(BaseTeacher):
    """MinimalisticVQA IX: VII with the motion features of SlowFast R50's fast pathway beside those of each key frame.

    Its scale is open as that of :class:`MinimalisticVii`; higher is better.

    Args:
        network: filled.
        motion: SlowFast, filled; its fast pathway is enough.
        version: changes with the parameters of both and the arithmetic.
        batch: key frames that go through the network together; rounding alone depends on it.
        device: where the networks are, such as ``"cpu"``.

    Raises:
        ConfigError: ``batch`` is less than 1.
    """

    name = "minimalistic-ix"
    higher_is_better = True
    needs_motion = True
    files = ("MinimalisticVQA_Model_IX_LSVQ.pth", MOTION_FILE)
    needs_all_files = True
    modules = (("torch", "train"), ("cv2", "train"))
    uses_device = True
    options: ClassVar[dict[str, int | float | str | bool]] = {"batch": 1}

    def __init__(
        self, network: MinimalisticNetwork, motion: SlowFast, version: str, *, batch: int = 1, device: str = "cpu"
    ) -> None:
        super().__init__(version)
        self._network = network
        self._motion = motion
        self._batch = at_least_one(batch, "batch", self.name)
        self._device = device

    @classmethod
    def load(cls, parameters: StrPath | None, *, batch: int = 1, device: str = "cpu") -> Self:
        """Return the teacher with both official checkpoints: its own, and PyTorchVideo's of SlowFast on Kinetics.

        Args:
            parameters: the folder that holds both, or its own checkpoint with that of SlowFast in the same folder.
            batch: see the class.
            device: see the class.

        Raises:
            ConfigError: nothing is named, or a single file on the hub.
            MissingInputError: a checkpoint is not there; all that are missing are named.
            InputError: one is damaged, or belongs to another network; what is missing and what is too much is listed.
            MissingExtraError: PyTorch or OpenCV is not installed.
        """
        _require_modules(cls.modules)
        own, motion_path = _both_files(parameters, cls.files, cls.name)
        # SlowFast first: nearly all of it is dropped again before the larger file is read.
        motion_digest, motion = _filled_motion(read_checkpoint(motion_path))
        checkpoint = read_checkpoint(own)
        network = _filled(checkpoint, motion=MOTION_FEATURES).to(device)
        version = f"{checkpoint.version(ARITHMETIC)}+{motion_digest}"
        return cls(network, motion.to(device), version, batch=batch, device=device)

    @classmethod
    def identify(cls, parameters: StrPath | None, *, batch: int = 1, device: str = "cpu") -> str:
        """Return the version that :meth:`load` would give, from the files alone; arguments and errors are the same."""
        from w2svqa.networks.slowfast import CLASSIFIER, SlowFast

        del device  # as good as any
        at_least_one(batch, "batch", cls.name)
        _require_modules(cls.modules)
        own, motion_path = _both_files(parameters, cls.files, cls.name)
        motion = fitting_checkpoint(motion_path, SlowFast, ignored=CLASSIFIER)
        return f"{_fitting(own, motion=MOTION_FEATURES).version(ARITHMETIC)}+{motion.sha256[:DIGEST_DIGITS]}"

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video or a still, on an open scale; see the class.

        Raises:
            InputError: the video cannot be decoded, or its pictures are too narrow.
        """
        del reference  # not needed
        torch = require("torch", extra="train")
        seconds = seconds_of(video.count(), video.info.fps)
        with torch.inference_mode():
            pictures, motions = self._features(video, seconds)
            values = {
                second: float(self._network.rate(pictures[second.key], motions[second.clip])) for second in set(seconds)
            }
        return math.fsum(values[second] for second in seconds) / len(seconds)

    def _features(
        self, video: Video, seconds: Sequence[Second]
    ) -> tuple[dict[int, Tensor], dict[tuple[int, ...], Tensor]]:
        """Return the features of each key frame ``(1, 1024)`` and each clip ``(1, 256)``; one pass, a clip held."""
        torch = require("torch", extra="train")
        keys, clips = {second.key for second in seconds}, {second.clip[-1]: second.clip for second in seconds}
        moving = {number for clip in clips.values() for number in clip}
        pictures: dict[int, Tensor] = {}
        motions: dict[tuple[int, ...], Tensor] = {}
        held: dict[int, Tensor] = {}
        waiting: dict[int, Tensor] = {}
        last = max(keys | moving)
        for number, frame in _each_once(video, sorted(keys | moving)):
            if number in keys:
                waiting[number] = key_picture(frame)
            if len(waiting) == self._batch or (waiting and number == last):
                features = self._network.feature_extraction(torch.stack([*waiting.values()]).to(self._device))
                pictures |= zip(waiting, features.split(1), strict=True)
                waiting.clear()
            if number in moving:
                held[number] = motion_picture(frame)
            if number in clips:
                clip = motion_clip([held[place] for place in clips[number]]).to(self._device)
                motions[clips[number]] = self._motion.fast_features(clip)
                held.clear()
        return pictures, motions


def _each_once(video: Video, numbers: Sequence[int]) -> Iterator[tuple[int, Frame]]:
    """Yield each of the numbers, which never fall, once, with its frame."""
    unique = list(dict.fromkeys(numbers))
    return zip(unique, video.frames_at(unique), strict=True)


def _filled(checkpoint: Checkpoint, motion: int) -> MinimalisticNetwork:
    from w2svqa.teachers.networks.minimalistic import MinimalisticNetwork

    torch = require("torch", extra="train")
    with torch.device("meta"):  # no time, memory and random numbers for weights that are replaced at once
        network = MinimalisticNetwork(motion)
    network.to_empty(device="cpu")
    fill(network, checkpoint.state, checkpoint.path, ignored=_IGNORED)
    return network


def _fitting(path: StrPath, motion: int) -> Checkpoint:
    from w2svqa.teachers.networks.minimalistic import MinimalisticNetwork

    return fitting_checkpoint(path, lambda: MinimalisticNetwork(motion), ignored=_IGNORED)


def _filled_motion(checkpoint: Checkpoint) -> tuple[str, SlowFast]:
    """Return the start of the checkpoint's SHA-256, and SlowFast without its slow pathway, which is not needed."""
    from w2svqa.networks.slowfast import CLASSIFIER, SlowFast

    torch = require("torch", extra="train")
    with torch.device("meta"):
        network = SlowFast()
    network.to_empty(device="cpu")
    fill(network, checkpoint.state, checkpoint.path, ignored=CLASSIFIER)
    network.drop_slow()
    return checkpoint.sha256[:DIGEST_DIGITS], network


def _both_files(parameters: StrPath | None, files: Sequence[str], teacher: str) -> tuple[StrPath, StrPath]:
    """Return the teacher's own checkpoint and that of SlowFast.

    Raises:
        ConfigError: nothing is named, or a single file on the hub.
        MissingInputError: one or both are not there.
    """
    both = " and ".join(files)
    if str(parameters).startswith(HUB):
        raise ConfigError(
            f"the teacher {teacher!r} needs two checkpoints, {both}, and {parameters} names one",
            remedy="fetch both into one folder and name that",
        )
    place = find_checkpoint(parameters, files, teacher)  # one of them, if it is a folder
    named = None if parameters is None or Path(parameters).is_dir() else place
    own, motion = named or place.parent / files[0], place.parent / files[1]
    missing = [path.name for path in (own, motion) if not path.is_file()]
    if missing:
        raise MissingInputError(
            f"the folder lacks {' and '.join(missing)}: {teacher} needs {both}",
            path=place.parent,
            remedy="put the checkpoint of MinimalisticVQA and that of PyTorchVideo's SlowFast into one folder",
        )
    return own, motion


def _require_modules(modules: Sequence[tuple[str, str]]) -> None:
    for module, extra in modules:
        require(module, extra=extra)
