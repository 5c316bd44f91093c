"""Tags of one resource without a look at the tags of all: moto's way takes seconds with 200 instances."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from . import existing, replace


def install() -> None:
    """Same answer, faster."""
    existing(TaggedEC2Resource, "tag_set")
    replace(TaggedEC2Resource, "get_tags", _get_tags)


def _get_tags(self: Any) -> list[dict[str, str]]:
    if not self.id or self.id not in self.ec2_backend.tags:
        return []
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
    tags = self.ec2_backend.tags[self.id]
    return [{"resource_id": self.id, "key": key, "value": tags[key], "resource_type": kind} for key in tags]
