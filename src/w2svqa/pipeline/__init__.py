"""The whole loop in code: ingest -> distort -> label, then stage after stage pair -> train -> export -> mine.

```
runs/NAME/
├── run.json         the effective configuration; another one is refused
├── provenance.json  what started it: versions, machine, seed, each start
├── clips/           table of the sources                         (ingest)
├── versions/        table, crop cache and views                  (distort)
├── labels/          table of the weak teachers' scores           (label)
├── stage-1/
│   ├── pairs/       table of pairs with levels                   (pair)
│   ├── train/       checkpoints and log                          (train)
│   ├── bundle/      the student of this stage                    (export)
│   └── held_back/   its scores of the contents that are held back
├── stage-2/         the same, its pairs being those before and hard ones
│   ├── tokens/      what the student before makes of the training clips
│   ├── mined/       the hard pairs and how each was labelled     (mine)
│   └── ...
├── quality/         how right teachers, ensemble and students were, stage by stage
├── report.html      all of this to look at
└── bundle/          the student of the best stage
```
"""

from w2svqa.pipeline.config import LaterConfig, RunConfig
from w2svqa.pipeline.context import Launch, Progress
from w2svqa.pipeline.loop import run
from w2svqa.pipeline.student import train_stage

__all__ = ["LaterConfig", "Launch", "Progress", "RunConfig", "run", "train_stage"]
