"""What can go wrong because of what came from outside; every message is one sentence a person can act on.

A door (shell, Hydra, server) catches :class:`WOTDError` and shows its message; anything else is a
bug of ours and keeps its traceback.
"""

MAX_SENTENCE = 2000
"""Characters of a message; of what is longer, the middle is left out."""


class WOTDError(Exception):
    """Base of every error that the user, not the programmer, can mend."""

    def __str__(self) -> str:
        """The sentence on one line of bounded length, whatever it quotes: names, cells and tags may hold anything."""
        sentence = super().__str__()
        if len(sentence) > MAX_SENTENCE:
            sentence = f"{sentence[: MAX_SENTENCE // 2]} … {sentence[3 - MAX_SENTENCE // 2 :]}"
        if sentence.isprintable():
            return sentence
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in sentence)[:MAX_SENTENCE]


class ConfigurationError(WOTDError):
    """A setting is unknown, missing, of the wrong type or at odds with another."""


class CorpusError(WOTDError):
    """A provider's folder or file cannot serve as a corpus."""


class UnreadableWorkError(CorpusError):
    """One work of a corpus cannot be read; the provider drops it and reports this reason."""


class EmbeddingError(WOTDError):
    """An embedding model is unknown, unavailable, or not the one that was asked for."""


class VectorsError(WOTDError):
    """A matrix of vectors has the wrong rank, type, width, or values that are not finite."""


class TrainingError(WOTDError):
    """Training cannot start or go on with the data and settings given."""


class LostProcessError(TrainingError):
    """Another process of a distributed run has ended, and with it what it shared."""


class ArtifactError(WOTDError):
    """An artifact folder is incomplete, damaged, too new, or does not fit what is asked of it."""


class InputError(WOTDError):
    """What was given to encode, decode or look up cannot be used."""


class UnknownWorkError(InputError):
    """A work was asked for that the artifacts do not know."""
