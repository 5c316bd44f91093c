"""One host: the directory, the environment and the processes of an instance."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import processes
from .operations import HOST_KEY
from .world import World

if TYPE_CHECKING:
    from .command import Command

SHIMS = Path(__file__).parent / "shims"
MACHINES = {"arm64": "aarch64"}
"""What `uname -m` says where EC2 has another name for an architecture."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def die_together(hosts: list[Host]) -> None:
    """Many hosts at once: processes are looked for once and not for each host."""
    for host in hosts:
        host.is_dead = True
        host.cancel_shutdown()
    if hosts:
        processes.kill(hosts[0].world.name, {host.id for host in hosts})


class Host:
    """Lives from RunInstances until its instance is terminated; is remembered after that."""

    def __init__(self, world: World, instance: Any, region: str) -> None:
        self.world = world
        self.instance = instance
        self.region = region
        self.id: str = instance.id
        self.directory = world.root / self.id
        self.directory.mkdir()
        # No process of a dead host runs or ever will; the instance may be `running` all the same.
        self.is_dead = False
        self.agent_is_lost = False
        self.agent_since_s: float | None = None
        self.last_ping_s = time.time()
        # Commands that its agent runs, and those that wait for a slot of it.
        self.running = 0
        self.waiting: list[Command] = []
        self._shutdown_number = 0
        world.schedule.after(world.options.launch_ms, self._boot)

    @property
    def agent_is_online(self) -> bool:
        """Commands reach the host."""
        return self.is_registered and not self.agent_is_lost and not self.is_dead

    @property
    def is_registered(self) -> bool:
        """SSM has heard of the host and it still exists, whether or not it answers now."""
        return (
            self.agent_since_s is not None
            and time.monotonic() >= self.agent_since_s
            and self.instance.state == "running"
        )

    def environment(self) -> dict[str, str]:
        """What commands and user data see; nothing of the environment of the cloud itself is in it."""
        options = self.world.options
        first = [
            str(SHIMS),
            *filter(None, [options.host_path]),
            str(Path(sys.executable).parent),
            SYSTEM_PATH,
        ]
        return {
            "PATH": ":".join(first),
            "HOME": str(self.directory),
            "NETBENCH_DIR": str(self.directory),
            "LANG": "C.UTF-8",
            "AWS_SSM_INSTANCE_ID": self.id,
            "AWS_SSM_REGION_NAME": self.region,
            "AWS_ENDPOINT_URL": self.world.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": HOST_KEY,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "EMULATED_CLOUD_MACHINE": MACHINES.get(self.instance.architecture, self.instance.architecture),
            processes.MARKER: f"{self.world.name}/{self.id}",
            **options.host_env,
        }

    def start(self, script: Path, directory: Path, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
        """Starts bash with a script in a session of its own."""
        return subprocess.Popen(
            ["bash", str(script)],
            cwd=directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def die(self) -> None:
        """The power goes: every process is killed, and nothing starts any more."""
        if not self.is_dead:
            die_together([self])

    def shut_down(self, minutes: float) -> None:
        """Arms a shutdown; a later one replaces an earlier one, as on Linux."""
        self.cancel_shutdown()
        number = self._shutdown_number

        def now() -> None:
            if self._shutdown_number == number and not self.is_dead:
                self._power_off()

        self.world.schedule.after(minutes * self.world.options.minute_ms, now)

    def cancel_shutdown(self) -> None:
        """What was armed does not happen."""
        self._shutdown_number += 1

    def _power_off(self) -> None:
        if self.instance.instance_initiated_shutdown_behavior == "terminate":
            self.instance.terminate()
        else:
            self.die()
            self.instance.stop()

    def _boot(self) -> None:
        """Runs at the moment when the instance is running."""
        if self.is_dead:
            return
        self.agent_since_s = time.monotonic() + self.world.options.agent_ms / 1000
        if self.instance.user_data is None:
            return
        script = self.directory / "user-data"
        script.write_text(self.instance.user_data.decode())
        with (self.directory / "user-data.log").open("wb") as log:
            process = self.start(script, self.directory, log, subprocess.STDOUT)
        # The thread only reaps; the host lives and dies without it.
        threading.Thread(target=process.wait, name=f"user data of {self.id}", daemon=True).start()
