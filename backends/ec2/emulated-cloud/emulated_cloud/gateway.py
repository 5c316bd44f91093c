"""Stands before moto: counts, logs, checks and disturbs requests."""

from __future__ import annotations

import io
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from . import faults
from .admin import Admin
from .faults import Fault
from .model_check import violations
from .operations import CALLER, HOST, Asked, regions, understand
from .world import World

NO_OPERATION = ("InvalidAction", 400, "The action is not valid for this service.")
NO_REGION = ("SignatureDoesNotMatch", 403, "Credential should be scoped to a valid region.")

LOG_MAX = 100_000
"""Requests that are remembered; a run makes some thousands."""


class Gateway:
    """The WSGI application of the cloud."""

    def __init__(self, world: World, moto: Callable[..., Iterable[bytes]]) -> None:
        self.world = world
        self.moto = moto
        self.admin = Admin(world, self)
        # Of its own, so that the admin endpoint answers while the cloud is busy.
        self.lock = threading.Lock()
        self.counters: dict[str, dict[str, int]] = {CALLER: {}, HOST: {}}
        self.number = 0
        self.requests: list[dict[str, Any]] = []
        self.violations: list[dict[str, Any]] = []
        self.faults: list[Fault] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = _body(environ)
        if environ.get("PATH_INFO", "").startswith("/_cloud/"):
            return self.admin(environ, start_response, body)
        asked = understand(environ, body)
        wrong = violations(asked)
        struck = self._note(asked, wrong, environ)
        if struck is None and asked.model is None and asked.operation != "Unknown":
            return _send(environ, start_response, faults.error_answer(asked, *NO_OPERATION))
        if asked.region and asked.region not in regions():
            return _send(environ, start_response, faults.error_answer(asked, *NO_REGION))
        try:
            return self._answer(asked, struck, environ, start_response)
        except Exception as error:
            if wrong:
                # moto stumbles where the service refuses.
                answer = faults.error_answer(asked, "ValidationException", 400, "; ".join(wrong))
                return _send(environ, start_response, answer)
            # moto's missing operations end here; an HTML page would only hide what is missing.
            traceback.print_exc()
            message = f"emulated cloud: {type(error).__name__}: {error}"
            return _send(environ, start_response, faults.error_answer(asked, "NotImplemented", 501, message))

    def _note(self, asked: Asked, wrong: list[str], environ: dict[str, Any]) -> Fault | None:
        with self.lock:
            counters = self.counters[asked.origin]
            counters[asked.name] = counters.get(asked.name, 0) + 1
            self.number += 1
            struck = [fault for fault in self.faults if fault.strikes(asked)]
            entry = {
                "number": self.number,
                "operation": asked.name,
                "origin": asked.origin,
                "parameters": asked.parameters,
                "agent": environ.get("HTTP_USER_AGENT", ""),
                "fault": struck[0].kind if struck else None,
            }
            if len(self.requests) < LOG_MAX:
                self.requests.append(entry)
            if wrong:
                self.violations.append({**entry, "violations": wrong})
        return struck[0] if struck else None

    def _answer(
        self, asked: Asked, struck: Fault | None, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        if struck is None:
            return self._carry_out(environ, start_response)
        if struck.kind == "slow":
            if not struck.after:
                time.sleep(struck.delay_ms / 1000)
            answer = self._carry_out(environ, start_response)
            struck.carried_out += 1
            if struck.after:
                time.sleep(struck.delay_ms / 1000)
            return answer
        if struck.kind == "refuse_connection":
            return _close(environ, start_response)
        if struck.kind == "lost_reply":
            list(self._carry_out(environ, lambda *_: None))
            struck.carried_out += 1
            if struck.close:
                return _close(environ, start_response)
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        if struck.kind == "throttle":
            return _send(environ, start_response, faults.throttle_answer(asked))
        return _send(
            environ, start_response, faults.error_answer(asked, struck.code, struck.status, struck.message)
        )

    def _carry_out(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """One request at a time: moto is not made for several threads."""
        with self.world.lock:
            answer = self.moto(environ, start_response)
            try:
                return list(answer)
            finally:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()


def _body(environ: dict[str, Any]) -> bytes:
    """Reads the whole body, before the lock is taken, and leaves it there for moto."""
    length = environ.get("CONTENT_LENGTH")
    stream = environ["wsgi.input"]
    if length:
        body = stream.read(int(length))
    elif environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = b""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input_terminated"] = True
    return body


def _send(environ: dict[str, Any], start_response: Any, answer: faults.Answer) -> Iterable[bytes]:
    status, headers, body = answer
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _close(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The caller sees the end of the connection in the place of an answer."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    start_response("500 Internal Server Error", [("Content-Length", "0"), ("Connection", "close")])
    return []
