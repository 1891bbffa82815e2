"""The page of two models against each other: pairs as clips side by side, with what each model says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from w2svqa.core.errors import InputError, StrPath
from w2svqa.core.store import package_versions
from w2svqa.report.page import Block, Card, Cell, Column, Gallery, Page, Provenance, Section, Table, Text, write_page
from w2svqa.report.pictures import playable, thumbnail
from w2svqa.stages.evaluation_gmad import Competition, Contender, Duel

REPORT: Final = "gmad.html"

SECONDS: Final = 5
"""Of each video that are on the page."""


def write_gmad_page(
    path: StrPath,
    competition: Competition,
    *,
    seconds: int = SECONDS,
    progress: Callable[[str, int, int, str], None] = lambda stage, done, total, text: None,  # noqa: ARG005
) -> None:
    """Write the page as one HTML file with its clips in it, about 1 MB each.

    Args:
        path: the file.
        competition: of two models.
        seconds: of each video that are shown.
        progress: called as clips are coded.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
        StoreError: the file cannot be written.
    """
    write_page(path, gmad_page(competition, seconds=seconds, progress=progress))


def gmad_page(
    competition: Competition,
    *,
    seconds: int = SECONDS,
    progress: Callable[[str, int, int, str], None] = lambda stage, done, total, text: None,  # noqa: ARG005
) -> Page:
    """Return the page; arguments as of :func:`write_gmad_page`."""
    first, second = competition.models
    sections = [_results(competition)]
    total = len(competition.duels)
    for holder, attacked in ((first, second), (second, first)):
        duels = [duel for duel in competition.duels if duel.attacked == attacked]
        if not duels:
            continue
        blocks: list[Block] = []
        if not any(video.path for duel in duels for video in (duel.better, duel.worse)):
            blocks.append(_listed(duels, competition.models))
            duels = []
        for duel in duels:
            cards = tuple(_card(video, competition.models, seconds) for video in (duel.better, duel.worse))
            blocks.append(Gallery(cards=cards, caption=_caption(duel), paired=True))
            progress("clips", competition.duels.index(duel) + 1, total, duel.better.video)
        sections.append(Section(title=f"{holder} sees no difference, {attacked} does", blocks=tuple(blocks)))
    return Page(
        title=f"{first} against {second}",
        lead=tuple(_lead(competition)),
        sections=tuple(sections),
        provenance=Provenance(versions=package_versions()),
    )


def _lead(competition: Competition) -> Iterator[str]:
    first, second = competition.models
    yield (
        f"Of {competition.videos} videos that both have scored, the pairs on which {first} and {second} disagree most."
        " In each pair one model sees (nearly) no difference and the other sees a large one: one of them is wrong."
        " The left clip is the one that the attacked model prefers. Where it looks better, the attacked model is right;"
        " where the two look alike or the right one better, the other is."
    )
    if not competition.duels:
        yield "There is no such pair: too few videos, or the models order them alike."


def _results(competition: Competition) -> Section:
    """How often people side with the attacked model, where the ratings tell."""
    rows = []
    for attacked in competition.models:
        told = [duel for duel in competition.duels if duel.attacked == attacked]
        known = [duel.agrees for duel in told if duel.agrees is not None]
        rows.append((attacked, len(told), len(known), sum(known)))
    columns = (
        Column(title="attacked model"),
        Column(title="pairs", form="d"),
        Column(title="of them rated apart", form="d"),
        Column(title="rated as it says", form="d"),
    )
    text = Text(
        paragraphs=("Ratings are counted where they tell the two apart. They are few: a look at the clips says more.",)
    )
    return Section(
        title="Who is right", blocks=(Table(caption="By the ratings.", columns=columns, rows=tuple(rows)), text)
    )


def _listed(duels: Sequence[Duel], models: tuple[str, str]) -> Table:
    """The pairs as rows, where there are no videos to show."""
    names = [f"{model} {side}" for side in ("left", "right") for model in models]
    columns = (
        Column(title="left"),
        Column(title="right"),
        *(Column(title=name, form=".4g") for name in (*names, "people left", "people right")),
        Column(title="gap", form=".2f"),
    )
    rows: list[tuple[Cell, ...]] = []
    for duel in duels:
        left, right = duel.better, duel.worse
        numbers = (*left.scores, *right.scores, left.rating, right.rating, duel.gap)
        rows.append((left.video, right.video, *numbers))
    return Table(caption="The scores came without videos.", columns=columns, rows=tuple(rows))


def _caption(duel: Duel) -> str:
    verdict = {True: "People prefer it too.", False: "People do not.", None: "The ratings do not tell."}[duel.agrees]
    return f"{duel.attacked} prefers the left one by {duel.gap:.2f} standard deviations. {verdict}"


def _card(video: Contender, models: tuple[str, str], seconds: int) -> Card:
    facts = [
        (model, f"{score:.4g} (at {place:+.2f})")
        for model, score, place in zip(models, video.scores, video.places, strict=True)
    ]
    facts += [("people", f"{video.rating:.4g}"), ("benchmark", video.benchmark)]
    clip, picture, missing = _shown(video.path, seconds)
    return Card(title=video.video, facts=tuple(facts), video=clip, image=picture, missing=missing)


def _shown(path: str, seconds: int) -> tuple[str, str, str]:
    """Clip, picture and what is said where there is neither."""
    if not path:
        return "", "", "the scores came without the video"
    try:
        return playable(path, seconds=seconds), "", ""
    except InputError as error:
        problem = error.without_path
    try:
        return "", thumbnail(path), ""  # a still image
    except InputError:
        return "", "", problem
