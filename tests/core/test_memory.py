"""Large buffers leave the process when they are freed."""

import ctypes
import os
import subprocess
import sys

import pytest

# A first large buffer, freed, teaches glibc to keep the second one in its heap: then no mapping is added by it.
PROGRAM = """
import ctypes
from w2svqa.core.memory import return_large_buffers

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
{call}
libc.free(libc.malloc(6 << 20))
before = libc.mallinfo2().hblks
buffer = libc.malloc(5 << 20)
print(libc.mallinfo2().hblks - before)
"""

needs_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33"
)


def mappings_added(call: str, **variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@needs_glibc
def test_large_buffers_are_mapped_and_not_kept() -> None:
    assert mappings_added("") == 0  # what the C library does by itself
    assert mappings_added("return_large_buffers()") == 1


@needs_glibc
def test_the_environment_goes_first() -> None:
    assert mappings_added("return_large_buffers()", MALLOC_MMAP_THRESHOLD_=str(1 << 25)) == 0
