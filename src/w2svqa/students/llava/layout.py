"""Where which token of a video stands, and how many seconds fit: index arithmetic alone.

```
released      [frame 0] [frame 1] ... [frame F-1] newline [motion 0] ... [motion K-1]
interleaved   [frame 0] [motion 0] [frame 1] [motion 1] ... [frame F-1] [motion F-1] newline
```

A frame is 14 x 14 = 196 tokens at full size, a motion token is one.

Source: released code (revision 2c7ca75), ``prepare_inputs_labels_for_multimodal``, for the first; equation 21 of the
paper for the second, to which we add the newline of the checkpoints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2svqa.students.llava.config import LlavaConfig


def token_places(seconds: int, spatial: int, config: LlavaConfig) -> NDArray[np.int64]:
    """Return which token stands at each place of a video's part of the sequence.

    Args:
        seconds: of the video, S >= 1.
        spatial: tokens of a frame, P.
        config: the layout.

    Returns:
        int64 ``(places,)``: numbers into ``S * (P + 1) + 1`` tokens: those of each second in turn, first the P of the
        frame and then the one of motion; the newline is the last.

    Raises:
        ValueError: fewer than one second.

    Example:
        >>> token_places(2, 2, LlavaConfig(layout="released")).tolist()
        [0, 1, 3, 4, 6, 2, 5]
        >>> token_places(2, 2, LlavaConfig(layout="interleaved")).tolist()
        [0, 1, 2, 3, 4, 5, 6]
    """
    if seconds < 1:
        raise ValueError(f"a video has at least one second, not {seconds}")
    newline = seconds * (spatial + 1)
    if config.layout == "interleaved":
        return np.arange(newline + 1)
    table = np.arange(newline).reshape(seconds, spatial + 1)
    motion = table[np.minimum(np.arange(motion_count(seconds, config)), seconds - 1), -1]
    return np.concatenate([table[:, :-1].ravel(), [newline], motion])


def motion_count(seconds: int, config: LlavaConfig) -> int:
    """Return how many motion tokens a video has.

    Example:
        >>> from w2svqa.students.llava.config import released_config
        >>> [motion_count(seconds, released_config()) for seconds in (3, 9, 60)]
        [8, 9, 10]
    """
    most = seconds if config.motion_most is None else min(seconds, config.motion_most)
    return max(most, config.motion_least)


def video_length(seconds: int, spatial: int, config: LlavaConfig) -> int:
    """Return how many tokens a video takes.

    Example:
        >>> video_length(10, 196, LlavaConfig())
        1971
    """
    return seconds * spatial + 1 + motion_count(seconds, config)


def seconds_that_fit(room: int, spatial: int, config: LlavaConfig) -> int:
    """Return the most seconds of a video that take at most ``room`` tokens; 0 if not even one fits.

    Args:
        room: tokens left for the video: the context less the prompt and the other video.
        spatial: tokens of a frame.
        config: the layout.

    Example:
        >>> seconds_that_fit(10000 - 76 - 1971, 196, LlavaConfig())
        40
    """
    # Never falls as seconds rise, and each second takes at least the tokens of its frame.
    seconds = max(0, (room - 1) // spatial)
    while seconds and video_length(seconds, spatial, config) > room:
        seconds -= 1
    return seconds
