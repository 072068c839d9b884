"""Calls methods of swh-web-client's ``WebAPIClient``. Runs in the environment of the clients, not in that of the tests.

The argument is a JSON object, the arguments of the constructor. Each line of standard input is an array of calls:
``[method, positional arguments, named arguments]``. For each, standard output gets a line with an array of one object a
call: ``{"value": …}``, or ``{"error": class, "status": HTTP status}``. What has a type of its own in Python is written with
it: ``CoreSWHID(swh:1:…)``, ``datetime(2026-…)``, ``bytes(hex)``; a response is its JSON and its headers. Standard error is
what the client logs.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import requests
from swh.model.swhids import CoreSWHID
from swh.web.client.client import WebAPIClient


def plain(value: Any) -> Any:
    """``value`` as JSON can write it."""
    if isinstance(value, CoreSWHID):
        return f"CoreSWHID({value})"
    if isinstance(value, datetime):
        return f"datetime({value.isoformat()})"
    if isinstance(value, bytes):
        return f"bytes({value.hex()})"
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [plain(item) for item in value]
    if isinstance(value, requests.Response):
        return {"json": value.json(), "headers": dict(value.headers)}
    return value


def call(client: WebAPIClient, method: str, args: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """The answer of one call."""
    try:
        return {"value": plain(getattr(client, method)(*args, **named))}
    except requests.HTTPError as error:
        return {"error": "HTTPError", "status": getattr(error.response, "status_code", None)}


def main() -> None:
    """Do what the lines say until they end."""
    logging.basicConfig(level=logging.DEBUG)
    client = WebAPIClient(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps([call(client, *one) for one in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
