"""The index of IDs: which items an ID, a prefix or a pattern means, and which ID an item has."""

from __future__ import annotations

from wotd.id_index.code_groups import CodeGroups
from wotd.id_index.mapped import IDIndex, Item

__all__ = ["CodeGroups", "IDIndex", "Item"]
