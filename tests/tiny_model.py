"""A real sentence-transformers model that is made in a second and fits in 70 KiB."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

_WORDS = """
a all and are as at be been but by cold day dark did do door every eyes face fell fire for from garden gave good great
had hand have he heart her him his hour house i in into is it king lamp last late letter life light like little long
love man many me mind moon more morning my never night no not now of old on once one or other out over quiet rain read
rose river said sea see she ship so some still stone such sun than that the their them then there these they thing this
time to two up upon us voice was way we were what when where which white who wind window winter with woman word world
would year you young
"""


def build_tiny_model(folder: Path, *, seed: int = 0, words: tuple[str, ...] = (), max_tokens: int = 64) -> Path:
    """Write a one-layer BERT with random weights and a vocabulary of common words.

    Args:
        folder: made, with the model in it.
        seed: of the weights.
        words: more words of the vocabulary.
        max_tokens: longer texts are cut there.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS.split(), *words, *".,;:!?'-"]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(dict.fromkeys(names))}, "[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BertModel(
            BertConfig(
                vocab_size=tokenizer.get_vocab_size(),
                hidden_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=max_tokens,
            )
        )
    parts = folder / "parts"
    network.save_pretrained(parts)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_tokens, **special).save_pretrained(parts)
    modules = sentence_transformer_modules()
    transformer = modules.Transformer(str(parts), max_seq_length=max_tokens)
    pooling = modules.Pooling(32, pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling, modules.Normalize()]).save(str(folder))
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
    return folder


def sentence_transformer_modules() -> Any:
    """The parts of which sentence-transformers builds models; they moved in its version 6."""
    try:
        return importlib.import_module("sentence_transformers.sentence_transformer.modules")
    except ModuleNotFoundError:
        return importlib.import_module("sentence_transformers.models")
