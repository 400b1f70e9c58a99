"""Semantic IDs of literature: short, hierarchical, readable codes for passages and works."""

__version__ = "0.1.0"
