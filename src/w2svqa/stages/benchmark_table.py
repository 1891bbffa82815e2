"""The ten benchmarks of the paper.

Counts are the paper's. Names of videos, the split of KVQ and the ends of the scales are those of the lists that the
authors released (commit 2c7ca75). Pages are the publishers'; no licence is stated here that was not read there or in
an announcement of theirs.

Source: arXiv 2505.03631, section 5 and Table 1.
"""

from __future__ import annotations

from typing import Final

from w2svqa.stages.benchmarks import Benchmark

_LSVQ = (
    'Z. Ying, M. Mandal, D. Ghadiyaram, A. Bovik, "Patch-VQ: Patching up the video quality problem", CVPR 2021;'
    " arXiv 2011.13544"
)
_PERCENT = "0 to 100"
_FORM = "a form on the page; the publisher sends the link"

BENCHMARKS: Final = (
    Benchmark(
        name="lsvq-test",
        title="LSVQ-test",
        group="in-domain",
        videos=7182,
        split="test; teachers and simulators' target are of its training part",
        scale=_PERCENT,
        page="https://github.com/baidut/PatchVQ",
        citation=_LSVQ,
    ),
    Benchmark(
        name="lsvq-1080p",
        title="LSVQ-1080p",
        group="in-domain",
        videos=3573,
        split="test of 1080 lines and more",
        scale=_PERCENT,
        page="https://github.com/baidut/PatchVQ",
        citation=_LSVQ,
    ),
    Benchmark(
        name="konvid-1k",
        title="KoNViD-1k",
        group="in-domain",
        videos=1200,
        published=1200,
        split="all",
        scale="1 to 5 as published; 0 to 100 in the authors' list",
        page="https://database.mmsp-kn.de/konvid-1k-database.html",
        citation='V. Hosu et al., "The Konstanz natural video database (KoNViD-1k)", QoMEX 2017',
    ),
    Benchmark(
        name="live-vqc",
        title="LIVE-VQC",
        group="in-domain",
        videos=585,
        published=585,
        split="all",
        scale=_PERCENT,
        page="https://live.ece.utexas.edu/research/LIVEVQC/index.html",
        citation='Z. Sinno, A. C. Bovik, "Large-scale study of perceptual video quality", IEEE TIP 28, 2019;'
        " arXiv 1803.01761",
    ),
    Benchmark(
        name="youtube-ugc",
        title="YouTube-UGC",
        group="in-domain",
        videos=1020,
        published=1380,
        split="1020 of 1380, those of the authors' list",
        scale="1 to 5",
        page="https://media.withyoutube.com/",
        access="open to all",
        citation='Y. Wang, S. Inguva, B. Adsumilli, "YouTube UGC dataset for video compression research", MMSP 2019;'
        " arXiv 1904.06457",
        license="Creative Commons, as the publisher announced it; the file ATTRIBUTION names the authors",
        dropped=r"_crf_\d+_ss_\d+_t_[\d.]+$",
    ),
    Benchmark(
        name="live-yt-gaming",
        title="LIVE-YT-Gaming",
        group="OOD",
        videos=600,
        published=600,
        split="all",
        scale=_PERCENT,
        page="https://live.ece.utexas.edu/research/LIVE-YT-Gaming/index.html",
        access=_FORM,
        citation='X. Yu et al., "Subjective and objective analysis of streamed gaming videos", arXiv 2204.00128',
        content=r"^(.+)-\d+$",
    ),
    Benchmark(
        name="cgvds",
        title="CGVDS",
        group="OOD",
        videos=357,
        published=360,
        split="357 of 360, those of the authors' list",
        scale="1.7 to 6.1 in the authors' list",
        page="https://github.com/stootaghaj/CGVDS",
        citation='S. Zadtootaghaj et al., "Quality estimation models for gaming video streaming services using'
        ' perceptual video quality dimensions", ACM MMSys 2020',
        content=r"^(.+?)(?:_\d)?_30",
        distortion=r"_(\d+x\d+_\d+)_\d+_",
    ),
    Benchmark(
        name="live-yt-hfr",
        title="LIVE-YT-HFR",
        group="OOD",
        videos=480,
        published=480,
        split="all",
        scale=_PERCENT,
        page="https://live.ece.utexas.edu/research/LIVE_YT_HFR/LIVE_YT_HFR/index.html",
        access=_FORM,
        citation='P. C. Madhusudana et al., "Subjective and objective quality assessment of high frame rate videos",'
        " IEEE Access 9, 2021; arXiv 2007.11634",
        content=r"^(.+)_crf_",
        distortion=r"_(\d+fps)$",
    ),
    Benchmark(
        name="waterloo-ivc-4k",
        title="Waterloo-IVC-4K",
        group="OOD",
        videos=1200,
        published=1200,
        split="all",
        scale=_PERCENT,
        page="https://ivc.uwaterloo.ca/database/4KVQA.html",
        access="open to all",
        citation='Z. Li, Z. Duanmu, W. Liu, Z. Wang, "AVC, HEVC, VP9, AVS2 or AV1? A comparative study of'
        ' state-of-the-art video encoders on 4K videos", ICIAR 2019',
        content=r"^[A-Z0-9]+_(\d+)_",
        distortion=r"^([A-Z0-9]+)_",
    ),
    Benchmark(
        name="kvq",
        title="KVQ",
        group="OOD",
        videos=2926,
        published=4200,
        split="2926 of 4200: the training part of the challenge, as in the authors' list",
        scale="1 to 5",
        page="https://lixinustc.github.io/projects/KVQ/",
        citation='Y. Lu et al., "KVQ: Kwai video quality assessment for short-form videos", CVPR 2024;'
        " arXiv 2402.07220",
    ),
)
