"""Work of the strong student by formula: tokens, floating-point operations and bytes at the shapes of the 7B model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from w2svqa.students.llava.prefix import prefix_bytes

SECONDS: Final = 10
ANCHORS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Sizes of LLaVA-OneVision; those of the 7B model with SigLIP so400m unless given.

    Attributes:
        hidden: width of the language model.
        layers: of the language model.
        inner: width of its feed-forward layers.
        key_values: width of its keys, and of its values, all heads together.
        vocabulary: rows of its output matrix.
        seen: tokens of a frame in the vision tower.
        seen_hidden: width of the vision tower.
        seen_layers: of the vision tower.
        seen_inner: width of its feed-forward layers.
        spatial: tokens of a frame in the language model.
        prompt: tokens before, between and after the two videos. The tokenizer of the checkpoint makes 78 of the text,
            two of which close the answer and are not computed here.
    """

    hidden: int = 3584
    layers: int = 28
    inner: int = 18944
    key_values: int = 512
    vocabulary: int = 152064
    seen: int = 729
    seen_hidden: int = 1152
    seen_layers: int = 26
    seen_inner: int = 4304
    spatial: int = 196
    prompt: tuple[int, int, int] = (26, 6, 44)

    def video(self, seconds: int = SECONDS) -> int:
        """Return the tokens of a video: frames, the newline, one of motion per second."""
        return seconds * self.spatial + 1 + seconds

    def first(self, seconds: int = SECONDS) -> int:
        """Return the tokens up to the end of the first video."""
        return self.prompt[0] + self.video(seconds)

    def rest(self, seconds: int = SECONDS) -> int:
        """Return the tokens behind the first video."""
        return self.prompt[1] + self.video(seconds) + self.prompt[2]

    @property
    def weights(self) -> int:
        """Weights of the language model's layers."""
        attention = 2 * self.hidden**2 + 2 * self.hidden * self.key_values
        return self.layers * (attention + 3 * self.hidden * self.inner)

    def language(self, begin: int, end: int) -> float:
        """Return the operations of one sequence from place ``begin`` to ``end``, a product and a sum being two."""
        attention = self.layers * 4 * self.hidden * (end**2 - begin**2) / 2
        return 2 * self.weights * (end - begin) + attention

    def frame(self) -> float:
        """Return the operations of one key frame: vision tower and projector."""
        layer = 4 * self.seen_hidden**2 + 2 * self.seen_hidden * self.seen_inner
        attention = 4 * self.seen**2 * self.seen_hidden
        projector = self.seen_hidden * self.hidden + self.hidden**2
        return self.seen_layers * (2 * self.seen * layer + attention) + 2 * self.seen * projector

    def read_out(self, rows: int, words: int) -> float:
        """Return the operations of the output matrix: so many rows, so many words of each."""
        return 2.0 * self.hidden * rows * words

    def prefix(self, count: int = ANCHORS) -> int:
        """Return the bytes of the kept prefixes of anchors in bfloat16."""
        return prefix_bytes(count * self.first(), layers=self.layers, heads=1, width=self.key_values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What scoring one video of ten seconds against five anchors of ten seconds takes.

    Attributes:
        name: of the way.
        encodings: videos that the vision tower sees.
        tokens: that the language model sees.
        logits: bytes of the logits that exist at once.
        operations: floating-point, motion features left out.
    """

    name: str
    encodings: int
    tokens: int
    logits: int
    operations: float


def works(shapes: Shapes) -> tuple[Work, ...]:
    """Return the work of the released way, ours, and ours with what costs more."""
    first, rest = shapes.first(), shapes.rest()
    pair, vision = first + rest, SECONDS * shapes.frame()
    second = shapes.prompt[1] + shapes.video(1) + shapes.prompt[2]
    closing = 2  # the end of the answer, which the released code computes too
    whole = pair + closing
    ours = ANCHORS * shapes.language(first, pair) + vision + shapes.read_out(ANCHORS, 5)
    each = ANCHORS * SECONDS * (shapes.language(first, first + second) + shapes.read_out(1, 5))
    other = shapes.language(0, first) + ANCHORS * shapes.language(first, pair)
    return (
        Work(
            name="released code",
            encodings=2 * ANCHORS,
            tokens=ANCHORS * whole,
            logits=4 * whole * shapes.vocabulary,
            operations=ANCHORS * (shapes.language(0, whole) + shapes.read_out(whole, shapes.vocabulary) + 2 * vision),
        ),
        Work(name="ours", encodings=1, tokens=ANCHORS * rest, logits=4 * ANCHORS * 5, operations=ours),
        Work(
            name="ours, and each second",
            encodings=1,
            tokens=ANCHORS * (rest + SECONDS * second),
            logits=4 * ANCHORS * (1 + SECONDS) * 5,
            operations=ours + each,
        ),
        Work(
            name="ours, both orders",
            encodings=1,
            tokens=2 * ANCHORS * rest + first,
            logits=4 * ANCHORS * 5,
            operations=ours + other,
        ),
    )
