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
# # Exploring semantic IDs
#
# What a run found, in pictures: how often codes are said, how IDs divide a corpus, what levels tell of labels, and how
# far their confidence can be trusted. The charts are those of the run's own report (`artifacts/report.html`), made
# from its artifacts alone; any artifact folder will do in place of the one that is trained here.
# `trainer.max_epochs=0` keeps the closed-form start, on which training can hardly improve with a corpus this small.

# %%
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Image

from wotd import SemanticIDModel, charts, train_wotd_pipeline
from wotd.report import Findings, pictures

run = Path(tempfile.mkdtemp(prefix="wotd-explore-"))
small = ["provider.n_works=96", "provider.passages_per_work=16", "trainer.max_epochs=0", "~callbacks.progress"]
results = train_wotd_pipeline(["+experiment=lsa", *small], run)
model = SemanticIDModel.load(results.artifacts)
findings = Findings.of(results.artifacts, model.artifacts.config)
print(f"{results.counts['passages']} passages of {results.counts['works']} works, {len(model.library.codes_CL)} codes")

# %% [markdown]
# ## Which codes are said
#
# A code that no passage bears tells nothing. The last level has no names: it tells apart what is alike in the others.

# %%
Image(charts.png(charts.usage(findings.codes, findings.levels)))

# %% [markdown]
# ## How IDs divide the corpus
#
# The first level innermost, each ring a level finer, each arc as wide as it has passages.

# %%
Image(charts.png(charts.sunburst(findings.codes, findings.levels)))

# %% [markdown]
# The same by hand, one step of the hierarchy at a time: a branch knows its children and the works whose ID lies below.

# %%
prefix = ""
while (branch := model.browse(prefix)).children:
    widest = max(branch.children, key=lambda child: child["passages"])
    print(f"{branch.id or 'all':<8}{branch.passages:>5} passages, {len(branch.works):>3} works; most in {widest['id']}")
    prefix = widest["id"]
print(f"{branch.id:<8}{branch.passages:>5} passages: {', '.join(branch.names)}")
for work in branch.works:
    print(f"    {work['title']}, {work['author']}")

# %% [markdown]
# ## What the levels tell of the labels
#
# Adjusted mutual information of each level with each label: a level that earns its name tells most of its own label.
# Below it, which codes the passages of each label get, for authors that were not in training.

# %%
Image(charts.png(charts.information(findings.metrics, findings.level_names, findings.labels)))

# %%
(confusion,) = (picture for picture in pictures.of_labels(findings) if picture.name == "confusion")
Image(charts.png(confusion.panels))

# %% [markdown]
# ## How sure is sure
#
# Of the codes that were said with a given confidence, the share that is right. Where points lie below the diagonal the
# model is surer than it should be.

# %%
Image(charts.png(charts.reliability(findings.metrics, findings.taught)))

# %% [markdown]
# `min_confidence` shortens an ID to the prefix that is sure enough, which is an answer too. A passage of an author
# that was not in training:

# %%
row = int(findings.rows("test")[0])
text = findings.passages["text"][row].as_py()
print(f"{findings.work_of(row)}: {findings.text_of(row)}")
for least in (0.0, 0.4, 0.6, 0.8):
    (encoded,) = model.encode(text, min_confidence=least)
    print(f"at least {least:.0%} sure: {encoded.id or '(nothing)':<10}{', '.join(encoded.names)}")

# %% [markdown]
# ## What a code keeps
#
# Codes decode, and so do prefixes. The deeper, the nearer to the embedding; what the codes of labels cost in
# reconstruction is the other chart, in which the large points are the weight this model encodes with.

# %%
frontier = findings.results["frontier"]
panels = [
    *charts.distortion(findings.metrics, findings.level_sizes),
    *charts.frontier(frontier["points"], findings.taught, frontier["weight"]),
]
Image(charts.png(panels))

# %%
vector = model.embed([text])[:, : model.encoder.input_dim]
(code,) = (encoded.code for encoded in model.encode(text))
for depth in range(1, len(code) + 1):
    decoded = model.decode(np.array([code[:depth]]))
    cosine = (decoded * vector).sum() / np.linalg.norm(decoded) / np.linalg.norm(vector)
    print(f"{'-'.join(map(str, code[:depth])):<10}cosine with the text's own embedding {cosine:.3f}")

# %% [markdown]
# ## Where passages lie
#
# Their embeddings in the plane of the two widest directions, coloured by the first level. In `report.html` a menu
# changes the level, and a pointer reads the passage.

# %%
(passages,) = pictures.of_map(findings)
Image(charts.png(passages.panels))
