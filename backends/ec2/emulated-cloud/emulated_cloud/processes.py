"""Finds and kills all that runs on a host, whatever became of its parents and sessions."""

from __future__ import annotations

import os
import signal
import time

MARKER = "EMULATED_CLOUD_HOST"
"""Every process of a host inherits this variable; that is how one that left its session is found again."""

KILL_LIMIT_S = 5.0


def of_hosts(cloud: str) -> dict[str, list[int]]:
    """Processes of every host of the cloud with this name, by the id of the instance."""
    found: dict[str, list[int]] = {}
    prefix = f"{MARKER}={cloud}/".encode()
    for pid in _pids():
        for variable in _environment(pid):
            if variable.startswith(prefix):
                found.setdefault(variable[len(prefix) :].decode(), []).append(pid)
    return found


def kill(cloud: str, instances: set[str] | None = None) -> None:
    """Kills every process of these hosts, or of all, and returns when there is none.

    A process may fork while it is looked for, so the search is repeated until it finds nothing.
    """
    deadline = time.monotonic() + KILL_LIMIT_S
    while time.monotonic() < deadline:
        by_host = of_hosts(cloud)
        wanted = by_host.keys() if instances is None else instances
        pids = [pid for instance in wanted for pid in by_host.get(instance, [])]
        if not pids:
            return
        for pid in pids:
            _signal(pid)
        time.sleep(0.005)
    raise RuntimeError(f"processes of {cloud} survive SIGKILL for {KILL_LIMIT_S} s: {pids}")


def kill_group(leader: int) -> None:
    """Kills a session's own process group, as the SSM agent does with a command that takes too long."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _environment(pid: int) -> list[bytes]:
    """Empty for a zombie, for a process that is gone, and for those of other users."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
