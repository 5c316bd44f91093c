"""What goes wrong on purpose."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .operations import CALLER, HOST, Asked

KINDS = ("error", "throttle", "lost_reply", "slow", "refuse_connection")
Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers, body."""

KEYS = {
    "operation",
    "origin",
    "where",
    "nth",
    "every",
    "kind",
    "code",
    "status",
    "message",
    "delay_ms",
    "after",
    "close",
}


@dataclass
class Fault:
    """Strikes requests of one operation: the `nth` after it was made (from 1), or each `every`-th."""

    operation: str
    kind: str
    # caller, host, or any.
    origin: str = CALLER
    # Only requests with these parameters, by their names and values on the wire.
    where: dict[str, str] = field(default_factory=dict)
    nth: int | None = None
    every: int | None = None
    code: str = "InternalError"
    status: int = 500
    message: str = "A fault of the emulated cloud."
    delay_ms: int = 0
    # Of slow: the request is carried out at once, and the answer waits.
    after: bool = False
    # Of lost_reply: closes the connection, or answers 500 with nothing.
    close: bool = True
    seen: int = 0
    struck: int = 0
    # Requests that it struck and that were carried out, whatever became of their answers.
    carried_out: int = 0

    def strikes(self, asked: Asked) -> bool:
        """Counts the request; says whether the fault is for it."""
        if self.operation not in ("*", asked.name, asked.operation):
            return False
        if self.origin not in ("any", asked.origin):
            return False
        if any(str(asked.parameters.get(name)) != value for name, value in self.where.items()):
            return False
        self.seen += 1
        hit = self.seen == self.nth if self.nth is not None else self.seen % (self.every or 1) == 0
        self.struck += hit
        return hit


def fault(given: dict[str, Any]) -> Fault:
    """Reads one fault; raises ValueError that says what is wrong with it."""
    if unknown := set(given) - KEYS:
        raise ValueError(f"a fault has no {sorted(unknown)}; it may have {sorted(KEYS)}")
    if given.get("kind") not in KINDS:
        raise ValueError(f"kind should be one of {KINDS}, and is {given.get('kind')!r}")
    if not isinstance(given.get("operation"), str):
        raise ValueError("operation should be a name, such as ec2:RunInstances, or *")
    if given.get("origin", CALLER) not in (CALLER, HOST, "any"):
        raise ValueError("origin should be caller, host or any")
    if not isinstance(given.get("where", {}), dict):
        raise ValueError("where should be an object of parameters")
    for key in ("nth", "every"):
        if key in given and not (isinstance(given[key], int) and given[key] >= 1):
            raise ValueError(f"{key} should be a number from 1")
    return Fault(**given)


def error_answer(asked: Asked, code: str, status: int, message: str) -> Answer:
    """An error as the service of the request would write it."""
    text = message.replace("&", "&amp;").replace("<", "&lt;")
    kind = "text/xml"
    if asked.protocol == "json":
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message})
    elif asked.protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
            "<RequestID>fault</RequestID></Response>"
        )
    elif asked.protocol == "query":
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
            "<RequestId>fault</RequestId></ErrorResponse>"
        )
    else:
        body = f"<Error><Code>{code}</Code><Message>{text}</Message><RequestId>fault</RequestId></Error>"
    return f"{status} Fault", [("Content-Type", kind)], body.encode()


def throttle_answer(asked: Asked) -> Answer:
    """Each family of services has its own way to say: too often."""
    codes = {
        "ec2": ("RequestLimitExceeded", 503),
        "json": ("ThrottlingException", 400),
        "query": ("Throttling", 400),
    }
    code, status = codes.get(asked.protocol, ("SlowDown", 503))
    return error_answer(asked, code, status, "Rate exceeded")
