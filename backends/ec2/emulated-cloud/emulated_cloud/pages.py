"""Long answers in parts."""

from __future__ import annotations

from typing import Any, TypeVar

Item = TypeVar("Item")


def page(items: list[Item], token: Any, wanted: int | None, most: int) -> tuple[list[Item], str | None]:
    """The items from `token` on, `wanted` of them or `most`, and the token of what follows."""
    start = int(token) if token else 0
    end = start + min(wanted or most, most)
    return items[start:end], str(end) if end < len(items) else None
