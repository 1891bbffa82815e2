"""Work of scoring a video with the strong student, against the way of the released code.

Usage: python benchmarks/llava_work.py [--small] [--data DIR]

1. By formula, at the shapes of the 7B model, for one video of ten seconds and five anchors of ten seconds.
2. By hooks, on a tiny random model whose videos have as many tokens as at full size: vision encodings and tokens of
   both ways, and how far apart their logits are.
3. With a CUDA device, a random model of the 7B shapes in bfloat16: videos per second of both ways in one run, and time,
   memory and share of the peak of a training step. Without one it says so.

--small takes videos of two seconds in (2) and four layers in (3). --data is accepted and ignored. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from _llava_arithmetic import ANCHORS, SECONDS, Shapes, works
from _llava_ways import Video, counting, made_up_videos, our_way, released_way, seconds_per_call, training_step
from w2svqa.students.llava.checkpoint import RANDOM_TINY, load_llava
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.motion import MotionProjector

_PEAK = 989e12
"""Operations per second of an H100 or H200 in bfloat16, dense, by its data sheet."""


def main() -> None:
    """Compute, count, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="shorter videos, fewer layers")
    parser.add_argument("--data", help="ignored: nothing is read")
    small = parser.parse_args().small
    if small:
        print("small run: videos of 2 s on the tiny model")
    figures = {**by_formula(), **by_counting(2 if small else SECONDS)}
    if torch.cuda.is_available():
        figures |= on_device(Shapes(layers=4, seen_layers=4) if small else Shapes(), torch.device("cuda"))
    else:
        print("\nno CUDA device here: videos per second and the training step were not measured")
    print(json.dumps({**figures, "device": _device_name(), "small": small}))


def by_formula() -> dict[str, object]:
    """Print the work at full size, and return its figures."""
    shapes = Shapes()
    ways = works(shapes)
    released, ours = ways[:2]
    print(f"one video of {SECONDS} s against {ANCHORS} anchors of {SECONDS} s, 7B shapes, by formula")
    print(f"{'':>22}{'encodings':>10}{'LM tokens':>10}{'ratio':>7}{'logits MB':>11}{'TFLOP':>8}{'less work':>10}")
    for way in ways:
        print(
            f"{way.name:>22}{way.encodings:>10}{way.tokens:>10,}{way.tokens / released.tokens:>7.3f}"
            f"{way.logits / 1e6:>11,.4f}{way.operations / 1e12:>8.1f}{released.operations / way.operations:>9.2f}x"
        )
    print(f"kept prefixes of {ANCHORS} anchors, bfloat16: {shapes.prefix() / 1e9:.2f} GB, computed once")
    return {
        "tokens_ratio": round(ours.tokens / released.tokens, 4),
        "encodings": ours.encodings,
        "encodings_released": released.encodings,
        "logits_bytes": ours.logits,
        "logits_bytes_released": released.logits,
        "prefix_gb": round(shapes.prefix() / 1e9, 3),
        "bound": round(released.operations / ours.operations, 3),
        "bound_each_second": round(released.operations / ways[2].operations, 3),
        "bound_both_orders": round(released.operations / ways[3].operations, 3),
    }


def by_counting(seconds: int) -> dict[str, object]:
    """Run both ways on a tiny model, print what went through it, and return the figures."""
    model = load_llava(RANDOM_TINY, LlavaConfig())
    *anchors, video = made_up_videos(ANCHORS + 1, seconds, model.config.frame_side)
    score = our_way(model, anchors)
    with torch.inference_mode(), counting(model) as theirs:
        expected = released_way(model, anchors, video)
    with counting(model) as mine:
        found = score(video)
    difference = float((found - expected).abs().max())
    ratio = mine.tokens / theirs.tokens
    print(f"\ncounted on a tiny model, videos of {seconds} s ({model.spatial} tokens a frame)")
    print(f"{'':>22}{'encodings':>10}{'LM tokens':>10}{'ratio':>7}{'rows of all words':>19}")
    print(f"{'released code':>22}{theirs.frames / seconds:>10.0f}{theirs.tokens:>10,}{1:>7.3f}{theirs.rows:>19,}")
    print(f"{'ours':>22}{mine.frames / seconds:>10.0f}{mine.tokens:>10,}{ratio:>7.3f}{mine.rows:>19,}")
    print(f"logits differ by at most {difference:.1e}; they vary by {float(expected.std()):.2f}")
    return {
        "encodings_counted": mine.frames / seconds,
        "encodings_counted_released": theirs.frames / seconds,
        "tokens_ratio_counted": round(ratio, 4),
        "max_difference": difference,
        "counted_seconds": seconds,
    }


def on_device(
    shapes: Shapes, device: torch.device, kind: torch.dtype = torch.bfloat16, *, seconds: int = SECONDS
) -> dict[str, object]:
    """Time both ways and a training step on a random model, print, and return the figures.

    The shares of the peak are those of videos of ten seconds.
    """
    model = random_model(shapes, device, kind)
    *anchors, video = made_up_videos(ANCHORS + 1, seconds, model.config.frame_side)
    score = our_way(model, anchors)
    with torch.inference_mode():
        released = 1 / seconds_per_call(lambda: released_way(model, anchors, video), times=3, device=device)
        ours = 1 / seconds_per_call(lambda: score(video), times=10, device=device)
        apart = float((score(video) - released_way(model, anchors, video).cpu()).abs().max())
    theirs, mine = works(shapes)[:2]
    print(f"\n{_device_name()}, {shapes.layers} layers, random weights, {kind}")
    print(f"released code {released:.2f} videos/s ({released * theirs.operations / _PEAK:.0%} of the peak)")
    print(f"ours          {ours:.2f} videos/s ({ours * mine.operations / _PEAK:.0%}), {ours / released:.2f} x")
    print(f"logits differ by at most {apart:.3f}")
    trained = _timed_training(model, [anchors[0], video], shapes, device)
    return {
        "videos_per_s": round(ours, 3),
        "videos_per_s_released": round(released, 3),
        "speed_up": round(ours / released, 3),
        "max_difference_on_device": apart,
        **trained,
    }


def _timed_training(model: LlavaModel, pair: list[Video], shapes: Shapes, device: torch.device) -> dict[str, object]:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    step = training_step(model, *pair)
    taken = seconds_per_call(step, times=5, device=device)
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
    length = shapes.first() + shapes.rest()
    # forward once; back once through the frozen language model, twice where weights are trained; nothing for what is
    # computed again
    work = 2 * shapes.language(0, length) + 3 * 2 * SECONDS * shapes.frame()
    share = work / taken / _PEAK
    print(f"training step on one pair of {SECONDS} s: {taken:.2f} s, {peak:.1f} GB, {share:.0%} of the peak")
    return {"step_seconds": round(taken, 3), "step_gb": round(peak, 2), "step_share_of_peak": round(share, 3)}


def random_model(shapes: Shapes, device: torch.device, kind: torch.dtype) -> LlavaModel:
    """Return LLaVA-OneVision of given shapes with random weights; its prompt is that of the tiny model."""
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

    tiny = load_llava(RANDOM_TINY, LlavaConfig())
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": shapes.seen_hidden,
        "intermediate_size": shapes.seen_inner,
        "patch_size": 14,
        "image_size": 384,
        "num_hidden_layers": shapes.seen_layers,
        "num_attention_heads": shapes.seen_hidden // 72,
        "vision_use_head": False,
    }
    text = {
        "model_type": "qwen2",
        "hidden_size": shapes.hidden,
        "intermediate_size": shapes.inner,
        "num_hidden_layers": shapes.layers,
        "num_attention_heads": shapes.hidden // 128,
        "num_key_value_heads": shapes.key_values // 128,
        "vocab_size": shapes.vocabulary,
        "max_position_embeddings": 32768,
        "rope_theta": 1e6,
        "tie_word_embeddings": False,
    }
    config = LlavaOnevisionConfig(vision_config=vision, text_config=text)
    with torch.device(device):
        backbone: Any = LlavaOnevisionForConditionalGeneration._from_config(
            config, dtype=kind, attn_implementation="sdpa"
        )
        projector = MotionProjector(shapes.hidden)
    return LlavaModel(tiny.config, backbone, projector.to(kind), tiny.prompt).to(device, kind).eval()


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


if __name__ == "__main__":
    main()
