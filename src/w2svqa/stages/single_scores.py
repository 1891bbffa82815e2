"""Student for single videos + files or kept seconds -> scores, and the table of them that ``w2svqa evaluate`` takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from w2svqa.core.errors import StrPath
from w2svqa.core.files import atomic_write
from w2svqa.core.records import Tokens
from w2svqa.stages.family_seconds import encoded
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.runtime import LlavaStudent, spaced
from w2svqa.students.llava.single import mean_scores, single_logits
from w2svqa.students.seconds import Seconds
from w2svqa.video.decode import open_clip


def seconds_scores(model: LlavaModel, videos: Sequence[Seconds]) -> list[float]:
    """Return the scores of videos whose seconds were kept, 0-100.

    Args:
        model: trained by :func:`w2svqa.stages.train_single.train_single`, in evaluation mode.
        videos: what it sees of each; one at a time is encoded.

    Raises:
        ConfigError: a video is longer than the context.
        W2SVQAError: a logit is not finite.
    """
    return [_score(model, encoded(model, video, model.device)) for video in videos]


def file_scores(student: LlavaStudent, paths: Sequence[StrPath]) -> dict[str, float]:
    """Return the scores of video files or stills, 0-100, by path.

    Of a video with more seconds than the student's frame budget, so many are judged, evenly spaced. Where only a part
    of a file can be decoded, that part is judged.

    Args:
        student: around a trained model: ``LlavaStudent(model, load_motion(...), name="single")``.
        paths: of the files.

    Raises:
        InputError: a file cannot be read as a video or still; the message names it.
        W2SVQAError: tokens or logits are not finite.
    """
    found: dict[str, float] = {}
    for path in paths:
        with open_clip(path, student.clip_spec) as clip:
            tokens = student.encode(clip.chunks())
        if len(tokens) > student.most_seconds:
            tokens = tokens[spaced(len(tokens), student.most_seconds)]
        found[str(path)] = _score(student.model, tokens)
    return found


def write_scores(target: Path, scores: Mapping[str, float]) -> None:
    """Write scores as a table for ``w2svqa evaluate --scores`` or the teacher ``scores:``; higher is better.

    Args:
        target: a CSV file, with columns ``name`` and ``score``.
        scores: by name or path.

    Raises:
        UnwritableError: the disk is full or fails.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([("name", "score"), *scores.items()])
    with atomic_write(target) as file:
        file.write(text.getvalue().encode())


def _score(model: LlavaModel, tokens: Tokens) -> float:
    with torch.inference_mode():
        # a copy: NumPy's may be read-only, which PyTorch has no tensors for
        video = torch.tensor(tokens).to(model.device, model.dtype)
        return float(mean_scores(single_logits(model, [video]).double()))
