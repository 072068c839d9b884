"""The keys that ``backend: remote`` takes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import Duration, Secret, WebAddress

_Url = msgspec.Meta(description="The web API, as in https://archive.example.org/api/1/.")
_Token = msgspec.Meta(description="An access token; it is sent to that host and port alone.")
_Timeout = msgspec.Meta(gt=0, description="How long the other side may be silent.")
_Retries = msgspec.Meta(ge=0, le=20, description="How often a question is asked again after a failure.")
_Patience = msgspec.Meta(ge=0, description="How long one question may wait for the other side's rate limit.")
_Parallel = msgspec.Meta(ge=1, le=64, description="How many questions of one batch are asked at once.")


class RemoteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another archive, read over its web API."""

    url: Annotated[WebAddress, _Url]
    token: Annotated[Secret | None, _Token] = None
    timeout: Annotated[Duration, _Timeout] = 30.0
    retries: Annotated[int, _Retries] = 3
    patience: Annotated[Duration, _Patience] = 60.0
    parallel: Annotated[int, _Parallel] = 4
