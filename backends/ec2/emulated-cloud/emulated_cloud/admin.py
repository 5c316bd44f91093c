"""The endpoint under /_cloud/, by which tests look into the cloud and disturb it."""

from __future__ import annotations

import dataclasses
import json
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import faults
from .left import left
from .operations import CALLER, HOST, query_of
from .world import World

if TYPE_CHECKING:
    from .gateway import Gateway


class NotThere(Exception):
    """No such path or host."""


class Admin:
    """Answers are JSON; a mistake of the caller is 400 or 404 with `{"error": ...}`."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self.world = world
        self.gateway = gateway

    def __call__(self, environ: dict[str, Any], start_response: Any, body: bytes) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"].removeprefix("/_cloud/").strip("/").split("/")
        try:
            status, answer = "200 OK", self._answer(method, path, query_of(environ), body)
        except NotThere as error:
            status, answer = "404 Not Found", {"error": str(error)}
        except ValueError as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        except Exception as error:
            traceback.print_exc()
            status, answer = "500 Internal Server Error", {"error": repr(error)}
        text = json.dumps(answer, default=str, indent=1).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    def _answer(self, method: str, path: list[str], query: dict[str, str], body: bytes) -> Any:
        if method == "GET" and path == ["left"]:
            with self.world.lock:
                return left(self.world)
        if method == "GET" and path == ["hosts"]:
            with self.world.lock:
                return self._hosts()
        if method == "POST" and path[0] == "hosts" and len(path) >= 3:
            with self.world.lock:
                return self._host(path[1], "/".join(path[2:]), query)
        with self.gateway.lock:
            return self._of_gateway(method, path, query, body)

    def _of_gateway(self, method: str, path: list[str], query: dict[str, str], body: bytes) -> Any:
        gateway = self.gateway
        if method == "GET":
            if path == ["counters"]:
                origin = query.get("origin", CALLER)
                if origin not in gateway.counters:
                    raise ValueError(f"origin should be one of {sorted(gateway.counters)}")
                return dict(sorted(gateway.counters[origin].items()))
            if path == ["violations"]:
                return gateway.violations
            if path == ["requests"]:
                return gateway.requests
            if path == ["faults"]:
                return [dataclasses.asdict(fault) for fault in gateway.faults]
        if method == "POST":
            if path == ["faults"]:
                given = json.loads(body or b"[]")
                if not isinstance(given, list):
                    raise ValueError("faults should be a list; it replaces the former one")
                gateway.faults = [faults.fault(one) for one in given]
                return [dataclasses.asdict(fault) for fault in gateway.faults]
            if path == ["reset-counters"]:
                gateway.counters, gateway.number = {CALLER: {}, HOST: {}}, 0
                gateway.requests, gateway.violations = [], []
                return {}
        raise NotThere(f"there is no {method} /_cloud/{'/'.join(path)}")

    def _hosts(self) -> list[dict[str, Any]]:
        return [
            {
                "id": host.id,
                "region": host.region,
                "zone": host.instance.placement.zone,
                "state": host.instance.state,
                "address": host.instance.private_ip,
                "directory": str(host.directory),
                "is_dead": host.is_dead,
                "agent": "online" if host.agent_is_online else "lost" if host.agent_is_lost else "absent",
                "tags": {tag["key"]: tag["value"] for tag in host.instance.get_tags()},
            }
            for host in self.world.hosts.values()
        ]

    def _host(self, instance: str, action: str, query: dict[str, str]) -> Any:
        host = self.world.hosts.get(instance)
        if host is None:
            raise NotThere(f"there is no host {instance}")
        if action == "die":
            state = query.get("state", "running")
            if state not in ("running", "terminated"):
                raise ValueError("state should be running or terminated")
            host.die()
            if state == "terminated":
                host.instance.terminate()
        elif action == "agent/lost":
            host.agent_is_lost = True
        elif action == "agent/back":
            host.agent_is_lost = False
            for command in self.world.commands.values():
                command.pump()
        elif action == "shutdown":
            if query.get("cancel"):
                host.cancel_shutdown()
            else:
                host.shut_down(float(query.get("minutes", "1")))
        else:
            raise NotThere(f"there is no action {action} of a host")
        return {}
