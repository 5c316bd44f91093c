"""What is changed in moto, one file for each subject.

Each change goes through `existing`, `replace` or `add`, which fail at start-up when moto is no longer what the
change expects.
"""

from __future__ import annotations

from typing import Any


class PatchError(Exception):
    """moto is not the version that a patch was written for."""


def existing(owner: Any, name: str) -> Any:
    """What moto has under this name, for a patch that calls it."""
    if not hasattr(owner, name):
        raise PatchError(f"{owner.__name__} has no {name} any more: look at what moto does now")
    return getattr(owner, name)


def replace(owner: Any, name: str, new: Any) -> None:
    """Puts `new` in the place of something that must exist."""
    existing(owner, name)
    setattr(owner, name, new)


def add(owner: Any, name: str, new: Any) -> None:
    """Gives `owner` something that it must not have yet: what moto has learnt need not be added."""
    if hasattr(owner, name):
        raise PatchError(f"{owner.__name__} has {name} by itself now: the patch may no longer be needed")
    setattr(owner, name, new)


def install() -> None:
    """Makes all changes. The world has begun, and no request has been served."""
    from . import addresses, agents, buckets, commands, instances, network, placement_groups, quotas
    from . import security_groups, stacks, tags

    subjects = (addresses, instances, placement_groups, security_groups, tags)
    subjects += (agents, commands, quotas, buckets, network, stacks)
    for patch in subjects:
        patch.install()
