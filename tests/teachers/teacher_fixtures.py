"""Pictures with texture, and parameter files of the right form with made-up values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray

from w2svqa.core.records import Chunk
from w2svqa.teachers import brisque, cnniqa, niqe

Frame = NDArray[np.uint8]


def texture(height: int, width: int, seed: int = 0) -> Frame:
    """Return an RGB picture with detail of every size, as a photograph has: noise with a spectrum of 1 / frequency."""
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    planes = [np.fft.irfft2(np.fft.rfft2(generator.normal(size=(height, width))) / frequency, (height, width))]
    planes += [planes[0] + 0.2 * generator.normal(size=(height, width)) for _ in range(2)]
    levels = [128 + 45 * (plane - plane.mean()) / plane.std() for plane in planes]
    return np.clip(np.round(np.stack(levels, axis=-1)), 0, 255).astype(np.uint8)


def blurred(frame: Frame, sigma: float) -> Frame:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8)


def noisy(frame: Frame, deviation: float) -> Frame:
    grain = np.random.default_rng(99).normal(size=frame.shape)
    return np.clip(np.round(frame + deviation * grain), 0, 255).astype(np.uint8)


def chunks(frames: Iterable[Frame]) -> list[Chunk]:
    """Return one chunk per key frame, without motion."""
    return [
        Chunk(
            index=index,
            start=float(index),
            key_frame=frame,
            motion=np.zeros((0, 8, 8), np.uint8),
            motion_times=np.zeros(0),
        )
        for index, frame in enumerate(frames)
    ]


def write_niqe(folder: Path, pictures: Iterable[Frame] = ()) -> Path:
    """Write the pristine model fitted to all patches of the pictures; without one, mean 0 and unit covariance."""
    features = [niqe.patch_features(picture[..., 1]) for picture in pictures]
    if features:
        rows = np.concatenate(features)
        mean, covariance = rows.mean(axis=0), np.cov(rows, rowvar=False)
    else:
        mean, covariance = np.zeros(36), np.eye(36)
    scipy.io.savemat(folder / niqe.FILE, {"pop_mu": mean[None], "pop_cov": covariance})
    return folder


def write_brisque(folder: Path, vectors: int = 5, seed: int = 0) -> Path:
    """Write a regression with a few random support vectors, each leaving out the features that are 0."""
    generator = np.random.default_rng(seed)
    lines = ["svm_type epsilon_svr", "kernel_type rbf", "gamma 0.05", "nr_class 2", f"total_sv {vectors}", "rho -30.5"]
    lines.append("SV")
    for _ in range(vectors):
        values = np.round(generator.uniform(-1, 1, 36), 4) * (generator.random(36) < 0.7)
        cells = [f"{index}:{value}" for index, value in enumerate(values, 1) if value]
        lines.append(" ".join([f"{generator.normal(0, 20):.4f}", *cells]))
    (folder / brisque.MODEL_FILE).write_text("\n".join(lines) + "\n", encoding="ascii")
    ranges = [f"{index},{-0.5 * index},{index}" for index in range(1, 37)]
    (folder / brisque.RANGES_FILE).write_text("\n".join(["feature,low,high", *ranges]) + "\n", encoding="utf-8")
    return folder


def state_dict(seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random parameters of CNNIQA, scaled so that no layer dies out."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv1": (50, 1, 7, 7), "fc1": (800, 100), "fc2": (800, 800), "fc3": (1, 800)}
    state = {}
    for name, shape in shapes.items():
        inputs = int(np.prod(shape[1:]))
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / inputs**0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return state


def write_cnniqa(folder: Path) -> Path:
    torch.save(state_dict(), folder / cnniqa.FILE)
    return folder
