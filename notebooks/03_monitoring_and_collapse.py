# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Watching a run, and a collapse
#
# A codebook collapses where as good as all rows get the same code: the loss may look harmless, the IDs say nothing. A
# watchdog (`callbacks.watchdog`) looks for it after each epoch. Here one is provoked with settings alone, watched, and
# mended, on vectors that are drawn in the notebook, so that each run takes seconds.

# %%
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Image, display
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wotd import charts, train_wotd_pipeline
from wotd.charts.drawing import axis, rows, tips

logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")

folder = Path(tempfile.mkdtemp(prefix="wotd-monitoring-"))
generator = np.random.default_rng(0)
centres = generator.normal(size=(32, 24))
vectors = centres[generator.integers(len(centres), size=1200)] + 0.5 * generator.normal(size=(1200, 24))
np.save(folder / "vectors.npy", vectors.astype(np.float32))

settings = [
    "+experiment=deep",
    f"data.vectors={folder / 'vectors.npy'}",
    "data.batch_size=64",
    "model.level_sizes=[8,8,8]",
    "model.latent_dim=8",
    "model.hidden=[32]",
    "model.quantizer.rounds=4",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=8",
    "callbacks.early_stopping.patience=100",
    "~callbacks.progress",
]

# %% [markdown]
# ## A healthy run
#
# Nothing is said of it, and nothing is touched.

# %%
healthy = train_wotd_pipeline(settings, folder / "healthy")
print(f"{healthy.counts['epochs']} epochs, val/nmse {healthy.metrics['val/nmse']:.3f}, kept: {healthy.checkpoint.name}")

# %% [markdown]
# ## A collapse
#
# AdamW shrinks each weight by `learning_rate × weight_decay` a step: at 0.03 × 18 it loses half of itself, and the
# latents fall together faster than the codewords follow. What would help the codewords is switched off as well: the
# closed-form refit before each validation, and the revival of codes that nobody says. With `action=warn` the watchdog
# only says what it sees.

# %%
ruinous = [
    "model.optimizer.learning_rate=0.03",
    "model.optimizer.weight_decay=18",
    "model.quantizer.revive_below=0",
    "~callbacks.codeword_refit",
]
collapsed = train_wotd_pipeline([*settings, *ruinous, "callbacks.watchdog.action=warn"], folder / "collapsed")

# %% [markdown]
# It says, epoch after epoch, which code all rows get, which level is at fault, why, and which setting to change. The
# last sentence is the pipeline's own: the start, fitted in closed form, was better than anything after it, so the
# artifacts are made of the start.
#
# ## The same, repaired
#
# With `action=repair`, the default, all codewords are started anew on what the encoder makes of the rows by then.

# %%
repaired = train_wotd_pipeline([*settings, *ruinous], folder / "repaired")

# %% [markdown]
# ## What the scalars tell
#
# Everything that was measured is in the run's TensorBoard events (`make tensorboard` shows them), and can be read
# back. Perplexity is the effective number of codes of a level: 8 where all are said alike often, 1 where one is all
# that is said.

# %%
runs = {"healthy": healthy, "collapsed": collapsed, "repaired": repaired}
events = {name: EventAccumulator(str(results.output_dir / "tensorboard")).Reload() for name, results in runs.items()}
scalars = [
    {"run": name, "level": f"level {level}", "epoch": epoch, "perplexity": scalar.value}
    for name, read in events.items()
    for level in range(3)
    for epoch, scalar in enumerate(read.Scalars(f"val/level_{level}/perplexity"), 1)
]
panels = [
    {
        "title": f"{level}: codes in use",
        "width": 220,
        "data": rows([row for row in scalars if row["level"] == level]),
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": axis("epoch", "quantitative", axis={"format": "d", "tickMinStep": 1}),
            "y": axis("perplexity", "quantitative", scale={"domain": [0, 8]}),
            "color": axis("run", "nominal", None, sort=list(runs), legend={"orient": "top"}),
            "tooltip": tips(run=None, epoch="d", perplexity=".2f"),
        },
    }
    for level in sorted({row["level"] for row in scalars})
]
Image(charts.png(panels))

# %% [markdown]
# The collapsed run ends at one code on each level. The repaired one takes the same fall and lives again after the
# restart, though what ruins it goes on: only another setting can cure that. Which codes were said, epoch by epoch, is
# drawn as training goes and kept in the same events; both runs:

# %%
for name in ("collapsed", "repaired"):
    print(name)
    display(Image(events[name].Images("val/codes_by_epoch")[-1].encoded_image_string))

# %% [markdown]
# ## The cure
#
# The watchdog named `revive_below`; were that set, it would name the learning rate. With both mended nothing is said
# any more, whatever the weight decay.

# %%
cured = train_wotd_pipeline(
    [*settings, "model.optimizer.weight_decay=18", "model.optimizer.learning_rate=0.0001", "~callbacks.codeword_refit"],
    folder / "cured",
)
runs["cured"] = cured
events["cured"] = EventAccumulator(str(cured.output_dir / "tensorboard")).Reload()
last = {name: {tag: read.Scalars(tag)[-1].value for tag in read.Tags()["scalars"]} for name, read in events.items()}
names = list(runs)
measured = {
    tag: [last[name][tag] for name in names] for tag in ("val/loss", "val/level_0/perplexity", "val/level_0/dead")
}
Image(charts.png(charts.values_by_run(measured, names, names)))

# %% [markdown]
# ## A loss that explodes
#
# That is no collapse, and no restart mends it. The watchdog bears a few such epochs (`callbacks.watchdog.patience`),
# then ends the run in good order, and what was best before counts.

# %%
exploded = train_wotd_pipeline([*settings, "model.optimizer.learning_rate=3"], folder / "exploded")
print(f"stopped after {exploded.counts['epochs']} epochs; kept: {exploded.checkpoint.name}")
print(f"val/nmse {exploded.metrics['val/nmse']:.3f}, healthy {healthy.metrics['val/nmse']:.3f}")
