"""The HTTP server around moto and the gateway."""

from __future__ import annotations

import threading
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from . import patches
from .gateway import Gateway
from .world import World


class RequestHandler(MotoRequestHandler):
    """moto's, without the delay of Nagle's algorithm and without a line for every request."""

    disable_nagle_algorithm = True

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Says nothing: the request log is at /_cloud/requests."""


def start(world: World) -> BaseWSGIServer:
    """Patches moto and begins to listen; the world's address is known afterwards."""
    patches.install()
    gateway = Gateway(world, DomainDispatcherApplication(create_backend_app))
    server = make_server(
        "127.0.0.1", world.options.port, gateway, threaded=True, request_handler=RequestHandler
    )
    # A run of 200 hosts connects 200 times in one moment.
    server.socket.listen(1024)
    server.daemon_threads = True
    world.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    return server
