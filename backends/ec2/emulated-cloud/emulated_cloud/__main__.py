"""Starts the cloud: python -m emulated_cloud [--port 0] [--root DIR] ..."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from .options import parse

MOTO_ENVIRONMENT = {
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Read by moto when it is imported."""


def main() -> None:
    """Serves until a signal or the end of standard input; then nothing of any host is left."""
    options = parse()
    os.environ.update(MOTO_ENVIRONMENT)
    # After the environment is set; it takes most of the time of a start.
    from moto.moto_api._internal import mock_random

    from . import server
    from .world import begin

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: end.set())
    if options.seed is not None:
        mock_random.seed(options.seed)
    world = begin(options)
    try:
        serving = server.start(world)
        if options.exit_with_stdin:
            threading.Thread(target=_wait_for_stdin, args=(end,), daemon=True).start()
        print(f"listening on {world.url}", flush=True)
        end.wait()
        # No new request may start a process after the last one is killed.
        serving.shutdown()
    finally:
        world.end()
    # Threads that still wait for a slow fault must not hold up the end.
    sys.stdout.flush()
    os._exit(0)


def _wait_for_stdin(end: threading.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    end.set()


if __name__ == "__main__":
    main()
