"""One command on one host: starts it, waits for it, tells how it ended."""

from __future__ import annotations

import datetime
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import processes
from .host import Host
from .log_output import publish

if TYPE_CHECKING:
    from .command import Command

DRAIN_LIMIT_S = 1.0
"""For what is still in the pipes after a command was killed."""

# Status and details, as SSM names them.
PENDING = ("Pending", "Pending")
IN_PROGRESS = ("InProgress", "InProgress")
SUCCESS = ("Success", "Success")
FAILED = ("Failed", "Failed")
CANCELLED = ("Cancelled", "Cancelled")
EXECUTION_TIMED_OUT = ("TimedOut", "ExecutionTimedOut")
DELIVERY_TIMED_OUT = ("TimedOut", "DeliveryTimedOut")
TERMINATED = ("Cancelled", "Terminated")
OPEN = (PENDING, IN_PROGRESS)


class Invocation:
    """Its fields are touched under the lock of the world."""

    def __init__(self, command: Command, host: Host) -> None:
        self.command = command
        self.host = host
        self.state = PENDING
        self.code = -1
        self.stdout = ""
        self.stderr = ""
        self.started: datetime.datetime | None = None
        self.ended: datetime.datetime | None = None
        self._started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """It waits or runs."""
        return self.state in OPEN

    def start(self) -> None:
        """Runs the script of the command; the host's agent is online."""
        self.state = IN_PROGRESS
        self.host.running += 1
        self.started = datetime.datetime.now(datetime.timezone.utc)
        self._started_s = time.monotonic()
        directory = self.host.directory / ".ssm" / self.command.id
        directory.mkdir(parents=True, exist_ok=True)
        script = directory / "script.sh"
        script.write_text("\n".join(self.command.lines) + "\n")
        working = self.host.directory / (self.command.working_directory or ".")
        if not Path(working).is_dir():
            self.stderr = f"the working directory {working} does not exist\n"
            self._end(FAILED, 1)
            return
        self._process = self.host.start(script, working, subprocess.PIPE, subprocess.PIPE)
        name = f"{self.command.id} on {self.host.id}"
        threading.Thread(target=self._watch, args=(self._process,), name=name, daemon=True).start()

    def cancel(self) -> None:
        """Ends it if it is not at its end."""
        if not self.is_open:
            return
        self._end(CANCELLED, -1)
        if self._process is not None:
            processes.kill_group(self._process.pid)

    def give_up(self, state: tuple[str, str]) -> None:
        """It never starts."""
        if self.state == PENDING:
            self._end(state, -1)

    @property
    def elapsed_s(self) -> float:
        """How long it has run, or ran."""
        if self.started is None:
            return 0.0
        return ((self.ended or datetime.datetime.now(datetime.timezone.utc)) - self.started).total_seconds()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Ends when all writers have closed the output, not only the script itself: so does the agent."""
        try:
            stdout, stderr = process.communicate(timeout=self.command.execution_limit_s)
            timed_out = False
        except subprocess.TimeoutExpired:
            timed_out = True
            processes.kill_group(process.pid)
            stdout, stderr = _drain(process)
        world = self.host.world
        with world.lock:
            if self.state != IN_PROGRESS:
                return
            self.stdout, self.stderr = _text(stdout), _text(stderr)
            if timed_out:
                self._end(EXECUTION_TIMED_OUT, -1)
            elif self.host.is_dead:
                # Nobody is left who could report; SSM waits for as long as the command may take.
                left_s = self.command.execution_limit_s - (time.monotonic() - self._started_s)
                world.schedule.after(max(left_s, 0) * 1000, self._lost)
            else:
                code = process.returncode
                self._end(SUCCESS if code == 0 else FAILED, code if code >= 0 else 128 - code)

    def _lost(self) -> None:
        if self.state == IN_PROGRESS:
            self._end(EXECUTION_TIMED_OUT, -1)

    def _end(self, state: tuple[str, str], code: int) -> None:
        if self.state == IN_PROGRESS:
            self.host.running -= 1
        self.state, self.code = state, code
        self.ended = datetime.datetime.now(datetime.timezone.utc)
        if not self.host.is_dead:
            config = self.command.asked.get("CloudWatchOutputConfig") or {}
            prefix = f"{self.command.id}/{self.host.id}"
            publish(self.host.region, config, prefix, {"stdout": self.stdout, "stderr": self.stderr})
        self.command.has_ended(self.host)


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What was written before the end; a child in another session may keep the pipes open for ever."""
    try:
        return process.communicate(timeout=DRAIN_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return error.stdout or b"", error.stderr or b""


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
