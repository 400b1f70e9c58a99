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
# # Semantic IDs in ten minutes
#
# Train on the built-in synthetic literature, look at what came out, and ask it about texts of your
# own. The recipe here is `lsa`, which learns its vectors from the corpus in seconds;
# `+experiment=minilm` takes a neural embedding model instead, and everything else stays the same.

# %%
import tempfile
from pathlib import Path

from IPython.display import Image

from wotd import SemanticIDModel, charts, train_wotd_pipeline

run = Path(tempfile.mkdtemp(prefix="wotd-quickstart-"))
results = train_wotd_pipeline(["+experiment=lsa", "trainer.max_epochs=10", "~callbacks.progress"], run)
print(results.counts)

# %% [markdown]
# ## What the levels learned
#
# Each level but the last is named: its code is to be the style, the complexity and the era of the
# text. How often it is, for authors that were not in training, beside always saying the commonest:

# %%
for name in ("style", "complexity", "era"):
    agreement, majority = (results.metrics[f"test/agreement/{name}/{part}"] for part in ("accuracy", "majority"))
    print(f"{name:<10}  code equals label {agreement:.3f}   commonest label {majority:.3f}")

# %% [markdown]
# What a level tells of each label, from 0, chance, to 1, the same: at its best on the diagonal. And how much of the
# embedding is lost when a code is decoded to a given depth.

# %%
levels = ["style", "complexity", "era", "variation"]
panels = [
    *charts.information(results.metrics, levels, levels[:3], sides=("test",)),
    *charts.distortion(results.metrics, level_sizes=[8, 8, 8, 5]),
]
Image(charts.png(panels))

# %% [markdown]
# ## Ask it
#
# `SemanticIDModel` needs the artifact folder alone.

# %%
model = SemanticIDModel.load(results.artifacts)
texts = [
    "The king is dead! Bring torches to the gate, and let no messenger pass before the morning.",
    "We may ask whether a promise binds the man who made it, or only the man he was when he made it.",
    "The rocket trembled once and the green planet fell away beneath the window.",
]
for text, encoded in zip(texts, model.encode(texts), strict=True):
    levels = ", ".join(f"{name} ({sure:.2f})" for name, sure in zip(encoded.names, encoded.confidence, strict=True))
    print(f"{encoded.id}  {levels}\n    {text}")

# %% [markdown]
# An ID is an address: what lies at the same one, or below a prefix of it, is kin.

# %%
prefix = model.encode(texts[0])[0].id[:1]
branch = model.browse(prefix)
print(f"{branch.names[0]}: {branch.passages} passages, {len(branch.works)} works, for example")
for work in branch.works[:5]:
    print(f"    {work['id']}  {work['title']}, {work['author']}")

# %%
for neighbor in model.neighbors(texts[2], k=3):
    print(f"{neighbor.id}  {neighbor.title}, {neighbor.author}\n    {neighbor.text[:160]}")

# %% [markdown]
# The same on the shell: `wotd encode`, `wotd browse`, `wotd neighbors`, each with `--artifacts`
# and the folder's path.
