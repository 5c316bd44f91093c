"""The one cloud of this process: what moto does not know about it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import processes
from .options import Options
from .schedule import Schedule

if TYPE_CHECKING:
    from .command import Command
    from .host import Host

NETWORK_PORT = 47_617
"""Whoever listens on 127.N.0.1 at this port has taken network N."""


class World:
    """Everything beyond moto's own state. All of it is touched under `lock` only."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.name = secrets.token_hex(8)
        self.lock = threading.RLock()
        self.schedule = Schedule(self.lock)
        self.url = ""
        self.hosts: dict[str, Host] = {}
        self.commands: dict[str, Command] = {}
        self.reservations: dict[tuple[str, str], tuple[Any, Any]] = {}
        self.placement_groups: dict[tuple[str, str], Any] = {}
        self.network, self._claim = _claim_network(options.network)
        self._removes_root = options.root is None
        self.root = options.root or Path(tempfile.mkdtemp(prefix="emulated-cloud-"))
        self.root = self.root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)

    def end(self) -> None:
        """Kills every process of every host and removes what is temporary."""
        self.schedule.end()
        with self.lock:
            for host in self.hosts.values():
                host.is_dead = True
            processes.kill(self.name)
        self._claim.close()
        if self._removes_root:
            shutil.rmtree(self.root, ignore_errors=True)


_world: World | None = None


def begin(options: Options) -> World:
    """Makes the cloud; there is one for each process, as moto's state is."""
    global _world
    assert _world is None, "there is one cloud for each process"
    _world = World(options)
    return _world


def world() -> World:
    """The cloud, for patched methods, which moto calls without it."""
    assert _world is not None, "the cloud begins before moto is patched"
    return _world


def _claim_network(wanted: str) -> tuple[int, socket.socket]:
    """Two clouds with the same addresses would disturb each other: a listening socket marks one as taken."""
    numbers = range(10, 255) if wanted == "auto" else [int(wanted)]
    # Clouds that start at the same moment begin their search at different places.
    start = os.getpid() % len(numbers) if wanted == "auto" else 0
    for number in [*numbers[start:], *numbers[:start]]:
        claim = socket.socket()
        claim.set_inheritable(False)
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            claim.bind((f"127.{number}.0.1", NETWORK_PORT))
            claim.listen(1)
            return number, claim
        except OSError:
            claim.close()
    raise SystemExit(
        f"emulated_cloud: network {wanted} is in use by another emulated cloud; use --network auto"
    )
