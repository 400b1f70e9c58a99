"""The semantic encoder; the public import for inference is ``from wotd.encoders import SemanticEncoder``."""

from wotd.encoders.semantic_encoder import SemanticEncoder, SemanticEncoding

__all__ = ["SemanticEncoder", "SemanticEncoding"]
