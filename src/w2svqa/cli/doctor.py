"""``w2svqa doctor``: what is installed, what is missing, and whether scoring works here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from w2svqa import __version__
from w2svqa.cli import exits
from w2svqa.core.errors import W2SVQAError

Outcome = Literal["ok", "missing", "failed"]

PACKAGES: Final = ("numpy", "av", "onnxruntime", "typer", "rich")
"""What scoring needs."""

EXTRAS: Final = {
    "plot": ("matplotlib",),
    "train": ("torch", "onnx", "onnxscript", "pyarrow", "yaml", "safetensors", "matplotlib"),
}
"""Optional groups and the modules they bring."""

DECODERS: Final = {
    "H.264": ("h264",),
    "HEVC": ("hevc",),
    "VP9": ("vp9", "libvpx-vp9"),
    "AV1": ("libdav1d", "libaom-av1", "av1"),
    "VP8": ("vp8", "libvpx"),
    "MPEG-2": ("mpeg2video",),
    "MPEG-4": ("mpeg4",),
    "ProRes": ("prores",),
    "PNG": ("png",),
    "JPEG": ("mjpeg",),
    "WebP": ("webp",),
}
"""Formats that matter, and FFmpeg's decoders for them, any of which will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what.
        status: ``"ok"``; ``"missing"`` for what scoring can do without; ``"failed"`` for what it cannot.
        detail: what was found.
        remedy: what to do about it; ``None`` if nothing.
    """

    name: str
    status: Outcome
    detail: str
    remedy: str | None = None


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    student: Annotated[
        str | None, typer.Option(metavar="PATH", help="Folder of a student bundle; the shipped one if not given.")
    ] = None,
) -> None:
    """Check the installation: versions, decoders, the student, optional extras, and a clip scored from end to end.

    Exit code 1 if scoring would fail.
    """
    checks = list(examine(student))
    works = all(check.status != "failed" for check in checks)
    if as_json:
        from w2svqa.report.rows import to_json

        exits.say(to_json({"ok": works, "checks": [asdict(check) for check in checks]}))
    else:
        _show(checks)
    if not works:
        raise typer.Exit(exits.fail("scoring does not work here; see the rows marked failed"))


def examine(student: str | None = None) -> Iterator[Check]:
    """Yield one check after the other; never raises for what it finds."""
    yield Check(name="w2svqa", status="ok", detail=f"{__version__} in {Path(__file__).parents[1]}")
    yield Check(name="system", status="ok", detail=_system())
    for package in PACKAGES:
        yield _package(package)
    yield _guarded("decoders", _decoders)
    yield _guarded("student", lambda: _student(student))
    yield _guarded("self-test", lambda: _self_test(student))
    for extra, modules in EXTRAS.items():
        yield _extra(extra, modules)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except W2SVQAError as error:
        problem = error.problem if error.path is None else f"{error.path}: {error.problem}"
        return Check(name=name, status="failed", detail=problem, remedy=error.remedy)
    except (ImportError, OSError) as error:
        return Check(name=name, status="failed", detail=str(error), remedy="pip install --force-reinstall w2svqa")


def _system() -> str:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"Python {platform.python_version()}, {platform.platform()}, {count} CPU threads"


def _package(name: str) -> Check:
    try:
        return Check(name=name, status="ok", detail=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, status="failed", detail="not installed", remedy=f"pip install {name}")


def _decoders() -> Check:
    import av

    known = av.codec.codecs_available
    missing = [name for name, decoders in DECODERS.items() if known.isdisjoint(decoders)]
    found = ", ".join(name for name in DECODERS if name not in missing)
    if not missing:
        return Check(name="decoders", status="ok", detail=found)
    status: Outcome = "failed" if "H.264" in missing else "missing"
    detail = f"{found}; not {', '.join(missing)}"
    return Check(name="decoders", status=status, detail=detail, remedy="pip install --force-reinstall av")


def _student(student: str | None) -> Check:
    from w2svqa.students.bundle import load_bundle

    bundle = load_bundle(student)
    sees = "key frames" if bundle.student.clip_spec.motion_size is None else "key frames and motion"
    size = sum(path.stat().st_size for path in bundle.folder.iterdir()) / 1e6
    detail = f"{bundle.student.name}, sees {sees}, {len(bundle.anchors)} anchors, {size:.1f} MB, hashes agree"
    detail = f"{detail}, in {bundle.folder}"
    return Check(name="student", status="ok", detail=detail)


def _self_test(student: str | None) -> Check:
    from w2svqa.stages.score import Scorer
    from w2svqa.video.scene import write_scene

    scorer = Scorer.load(student)
    with tempfile.TemporaryDirectory(prefix="w2svqa-doctor-") as folder:
        clip = Path(folder) / "scene.mkv"
        write_scene(clip, width=320, height=180, seconds=1, fps=5)
        first, second = scorer.score(clip), scorer.score(clip)
    if first.status != "ok" or first.value is None:
        return Check(name="self-test", status="failed", detail=first.message or "no score", remedy="reinstall w2svqa")
    if first != second:
        return Check(name="self-test", status="failed", detail="two scores of one file differ", remedy="report it")
    return Check(name="self-test", status="ok", detail=f"a generated clip scores {first.value:.1f}, twice the same")


def _extra(extra: str, modules: tuple[str, ...]) -> Check:
    missing = [module for module in modules if find_spec(module) is None]
    if not missing:
        return Check(name=f"extra {extra}", status="ok", detail="installed")
    detail = f"without {', '.join(missing)}"
    return Check(name=f"extra {extra}", status="missing", detail=detail, remedy=f"pip install 'w2svqa[{extra}]'")


def _show(checks: list[Check]) -> None:
    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.report.terminal import check_table

    rows = [(check.name, check.status, check.detail, check.remedy or "") for check in checks]
    show(check_table(rows, ascii_only=uses_ascii(sys.stdout)))
