"""Decoding ahead: a thread decodes the next chunk while the caller works on the one before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Final, TypeVar

from w2svqa.core.protocols import Clip
from w2svqa.core.records import Chunk

_Item = TypeVar("_Item")

_LONGEST_STOP: Final = 30.0
"""Seconds to wait for a decoder that is to stop; it does so at its next chunk."""


@contextmanager
def reading_ahead(clip: Clip) -> Iterator[Iterator[Chunk]]:
    """Decode in a thread while the caller works on the chunk before; both release the interpreter's lock.

    An error of the decoder is raised where the chunks are iterated. Leaving the block, by an error too, stops the
    thread and waits for it.

    Args:
        clip: what to decode.

    Yields:
        The chunks, in time order; at most one of them waits.
    """
    ready: queue.SimpleQueue[Chunk | BaseException | None] = queue.SimpleQueue()
    room: queue.SimpleQueue[None] = queue.SimpleQueue()
    stopped = threading.Event()

    def decode() -> None:
        with _Ending(ready), closing_if_needed(clip.chunks()) as chunks:
            for chunk in chunks:
                room.get()
                if stopped.is_set():
                    return
                ready.put(chunk)

    def taken() -> Iterator[Chunk]:
        while isinstance(item := ready.get(), Chunk):
            room.put(None)
            yield item
        if item is not None:
            raise item

    # Ctrl-C may strike at any point, also while a lock of queue.Queue or of a pool is held, which then nobody lets go.
    # Those of SimpleQueue are held in C alone; and no daemon is waited for when the program ends.
    decoding = threading.Thread(target=decode, name="decode", daemon=True)
    room.put(None)  # one chunk may wait: with one in each hand, at most three are in memory
    try:
        decoding.start()
        yield taken()
    finally:
        stopped.set()
        room.put(None)
        if decoding.ident is not None:
            decoding.join(_LONGEST_STOP)


class _Ending:
    """Puts ``None`` into a queue when the block ends, or the error that ended it."""

    def __init__(self, items: queue.SimpleQueue[Chunk | BaseException | None]) -> None:
        self._items = items

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        self._items.put(error)
        return True


@contextmanager
def closing_if_needed(iterator: Iterator[_Item]) -> Iterator[Iterator[_Item]]:
    """Close a generator at the end of the block; an iterator of another kind has nothing to close."""
    if not isinstance(iterator, Generator):
        yield iterator
        return
    with closing(iterator):
        yield iterator
