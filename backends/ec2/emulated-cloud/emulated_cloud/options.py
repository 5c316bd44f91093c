"""What can be chosen when the cloud is started."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """One field per flag; the help texts below say what each is for."""

    port: int
    root: Path | None
    network: str
    seed: int | None
    launch_ms: int
    terminate_ms: int
    forget_ms: int
    agent_ms: int
    agent_slots: int
    delivery_ms: int
    stack_ms: int
    minute_ms: int
    vcpu_quota: float
    host_path: str
    host_env: dict[str, str]
    exit_with_stdin: bool


def parse(arguments: list[str] | None = None) -> Options:
    """Reads the command line; ends the process with a usage message when it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m emulated_cloud", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    add("--root", type=Path, help="directory of the hosts; a temporary one, removed at the end, if not given")
    add(
        "--network",
        default="auto",
        help="N: hosts have addresses 127.N.x.y; auto takes an N nobody else uses",
    )
    add("--seed", type=int, help="makes ids and addresses repeatable")
    add("--launch-ms", type=int, default=200, help="from pending to running")
    add("--terminate-ms", type=int, default=200, help="from shutting-down to terminated")
    add("--forget-ms", type=int, default=600_000, help="how long a terminated instance can be described")
    add("--agent-ms", type=int, default=200, help="from running until the SSM agent is online")
    add("--agent-slots", type=int, default=5, help="commands that an agent runs at the same time")
    add(
        "--delivery-ms",
        type=int,
        default=50,
        help="from SendCommand until its targets are known and it starts",
    )
    add("--stack-ms", type=int, default=200, help="how long a stack is being created, and deleted")
    add(
        "--minute-ms", type=int, default=60_000, help="a minute of shutdown, and of SSM's delivery time limit"
    )
    add("--vcpu-quota", type=float, default=1024.0, help="value of the service quota L-1216C47A")
    add("--host-path", default="", help="directories that come first on PATH of hosts, after the shims")
    add(
        "--host-env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="added to the environment of hosts",
    )
    add("--exit-with-stdin", action="store_true", help="end when standard input ends")
    parsed = vars(parser.parse_args(arguments))
    pairs = [pair.partition("=") for pair in parsed["host_env"]]
    if not all(separator for _, separator, _ in pairs):
        parser.error("--host-env wants NAME=VALUE")
    parsed["host_env"] = {name: value for name, _, value in pairs}
    if parsed["network"] != "auto" and parsed["network"] not in {str(number) for number in range(1, 255)}:
        parser.error("--network wants auto or a number from 1 to 254")
    return Options(**parsed)
