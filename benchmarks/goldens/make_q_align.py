"""Write what the reference implementation of Q-Align computes, for the tests of the port to compare with.

    python benchmarks/goldens/make_q_align.py --official Q-Align --output tests/teachers/goldens/q_align.npz

Q-Align is a checkout of https://github.com/Q-Future/Q-Align. The script imports that code and contains none of it; it
needs torch, transformers 4.36, sentencepiece and Pillow. decord and icecream are imported by the reference but not
needed here; stand-ins take their place where they are missing, and frames are made instead of decoded.

The real network does not fit in a test. So the same classes are made small (tests/teachers/q_align_cases.py), their
weights come from hashes of their names, and of the real network the keys and shapes are recorded. The words come from a
tokenizer trained on a few sentences with the settings of LLaMA's; it is stored too. The reference always computes in 16
bits; here ``half`` is made to do nothing.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import tempfile
import types
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import sentencepiece
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "teachers"))

import q_align_cases as cases

Official = Any
"""Something of the reference, whose classes are not known when types are checked."""

ABSENT = ("decord", "icecream")
SENTENCES = (
    *(f"{word} {word} a {word} picture" for word in cases.WORDS),
    "USER: How would you rate the quality of this video?",
    "ASSISTANT: The quality of the image is",
    "It is a good film, and a fair one; the other was bad, poor even, but its colours were excellent.",
)


class MadeReader:
    """Stands for decord's reader: frames of a made video."""

    def __init__(self, video: int) -> None:
        self._video = video

    def get_avg_fps(self) -> float:
        """Return the frames per second."""
        return cases.VIDEOS[self._video][3]

    def __len__(self) -> int:
        return cases.VIDEOS[self._video][0]

    def get_batch(self, numbers: list[int]) -> mock.Mock:
        """Return the frames of some numbers, and keep the numbers."""
        kept.append(numbers)
        frames = cases.frames(self._video)
        return mock.Mock(asnumpy=lambda: np.stack([frames[number] for number in numbers]))


kept: list[list[int]] = []


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of Q-Align")
    parser.add_argument("--output", type=Path, required=True, help="the .npz to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model_module, scorer = official_modules(arguments.official)
    content = trained_tokenizer()
    values: dict[str, Any] = {"tokenizer": np.frombuffer(content, np.uint8)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.model").write_bytes(content)
        tokenizer = official_tokenizer(folder)
    values |= record_words(scorer, tokenizer)
    values |= record_pictures(scorer)
    values |= record_keys(model_module, tokenizer)
    values |= record_scores(model_module, scorer, tokenizer)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.output, **values)
    print(f"{arguments.output}: {len(values)} arrays, {arguments.output.stat().st_size} bytes")


def official_modules(official: Path) -> tuple[types.ModuleType, types.ModuleType]:
    """Import the network and the scorer of the reference."""
    importlib.import_module("transformers")  # first: it looks for decord and must not find the stand-in
    for name in ABSENT:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = mock.MagicMock()
    sys.path.insert(0, str(official))
    return (
        importlib.import_module("q_align.model.modeling_mplug_owl2"),
        importlib.import_module("q_align.evaluate.scorer"),
    )


def trained_tokenizer() -> bytes:
    """Return a SentencePiece model with LLaMA's settings."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 50),
        model_writer=model,
        model_type="bpe",
        vocab_size=cases.CONFIGURATION["vocab_size"],
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def official_tokenizer(folder: str) -> Official:
    """Return the tokenizer as the reference loads it; its newer way must give the same words."""
    kind = importlib.import_module("transformers").LlamaTokenizer
    older, newer = (kind.from_pretrained(folder, legacy=legacy) for legacy in (True, False))
    for text in SENTENCES:
        if older(f"\n{text}\n").input_ids != newer(f"\n{text}\n").input_ids:
            raise RuntimeError(f"the two ways of the tokenizer differ on {text!r}")
    return older


def record_words(scorer: types.ModuleType, tokenizer: Official) -> dict[str, Any]:
    """Return the numbers of the prompts, pictures as -200, and of the level words."""
    values: dict[str, Any] = {"words": np.array([tokenizer(word).input_ids for word in cases.WORDS])}
    for subject in ("image", "video"):
        prompt = (
            f"USER: How would you rate the quality of this {subject}?\n<|image|>\n"
            f"ASSISTANT: The quality of the {subject} is"
        )
        values[f"prompt/{subject}"] = np.array(scorer.tokenizer_image_token(prompt, tokenizer))
    return values


def processor(side: int) -> Official:
    """Return the reference's image processor, for pictures of another size."""
    kind = importlib.import_module("transformers").CLIPImageProcessor
    return kind(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def record_pictures(scorer: types.ModuleType) -> dict[str, Any]:
    """Return samples of pictures prepared for the real network."""
    from PIL import Image

    values = {}
    prepare = processor(448)
    colour = tuple(int(x * 255) for x in prepare.image_mean)
    for number, (height, width) in enumerate(cases.PICTURES):
        picture = Image.fromarray(cases.frame(number, 0, height, width))
        square = scorer.QAlignScorer.expand2square(None, picture, colour)
        pixels = prepare.preprocess([square], return_tensors="np")["pixel_values"][0]
        values[f"picture/{number}"] = cases.sample_of(pixels, 4000)
        values[f"picture/{number}/sum"] = pixels.astype(np.float64).sum()
    return values


def configured(model_module: types.ModuleType, configuration: dict[str, Any]) -> Official:
    """Return the reference's configuration."""
    visual = configuration.get("visual_config")
    rest = {key: value for key, value in configuration.items() if key != "visual_config"}
    if visual is not None:
        visual = {
            "visual_model": model_module.MplugOwlVisionConfig(**visual["visual_model"]).to_dict(),
            "visual_abstractor": model_module.MplugOwlVisualAbstractorConfig(**visual["visual_abstractor"]).to_dict(),
        }
    # The other ways of attention fail in the reference under a newer PyTorch: it forgets an import.
    return model_module.MPLUGOwl2Config(visual_config=visual, attn_implementation="eager", **rest)


def made(model_module: types.ModuleType, tokenizer: Official, configuration: dict[str, Any]) -> Official:
    """Return the reference's network, which wants to fetch a tokenizer and a processor and gets them."""
    with (
        mock.patch.object(model_module.AutoTokenizer, "from_pretrained", return_value=tokenizer),
        mock.patch.object(model_module.CLIPImageProcessor, "from_pretrained", return_value=processor(56)),
    ):
        return model_module.MPLUGOwl2LlamaForCausalLM(configured(model_module, configuration)).eval()


def record_keys(model_module: types.ModuleType, tokenizer: Official) -> dict[str, Any]:
    """Return digest, number and total size of the real network's keys."""
    with torch.device("meta"):
        model = made(model_module, tokenizer, {"rms_norm_eps": 1e-5})
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    total = sum(value.numel() for value in model.state_dict().values())
    parameters = sum(value.numel() for value in model.parameters())
    print("keys", len(shapes), "parameters", parameters, "with tables", total)
    return {
        "keys": np.array(cases.digest_of(shapes)),
        "count": np.array(len(shapes)),
        "total": np.array(total),
        "parameters": np.array(parameters),
    }


def record_scores(model_module: types.ModuleType, scorer: types.ModuleType, tokenizer: Official) -> dict[str, Any]:
    """Return what the reference's scorers make of the videos and the still, and activations for the first video."""
    from PIL import Image

    model = made(model_module, tokenizer, cases.CONFIGURATION)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in cases.state_of(shapes)})
    values: dict[str, Any] = {"small/keys": np.array(cases.digest_of(shapes))}
    loaded = (tokenizer, model, processor(56), None)
    sys.modules["decord"] = mock.Mock(VideoReader=MadeReader)
    with (
        mock.patch.object(scorer, "load_pretrained_model", return_value=loaded),
        mock.patch.object(torch.Tensor, "half", lambda each: each),
    ):
        judge, judge_still = scorer.QAlignVideoScorer(device="cpu"), scorer.QAlignScorer(device="cpu")
        scores = []
        for video in range(len(cases.VIDEOS)):
            seen: dict[str, np.ndarray[Any, Any]] = {}
            hooks = watch(model, seen)
            scores.append(float(judge([scorer.load_video(video)])))
            for hook in hooks:
                hook.remove()
            values[f"numbers/{video}"] = np.array(kept.pop())
            values |= {f"{video}/{part}": cases.sample_of(array) for part, array in seen.items()}
        still = float(judge_still([Image.fromarray(cases.frames(len(cases.VIDEOS))[0])]))
    values |= {"scores": np.array(scores), "still": np.array(still)}
    print("scores", scores, "deviation", np.std(scores), "still", still)
    return values


def watch(model: Official, seen: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    """Keep what the parts of a network put out; logits of the last position alone."""
    words = model.preferential_ids_

    def keep(part: str, take: Official) -> Official:
        def hook(_module: torch.nn.Module, _inputs: object, output: Official) -> None:
            seen[part] = take(output).numpy().copy()

        return hook

    return [
        model.model.vision_model.register_forward_hook(keep("vision", lambda out: out.last_hidden_state)),
        model.model.visual_abstractor.register_forward_hook(keep("abstractor", lambda out: out.last_hidden_state)),
        model.model.layers[0].register_forward_hook(keep("layer", lambda out: out[0])),
        model.model.layers[1].self_attn.register_forward_hook(keep("attention", lambda out: out[0])),
        model.lm_head.register_forward_hook(keep("logits", lambda out: out[0, -1, words])),
    ]


if __name__ == "__main__":
    main()
