"""The contract of the request store, as prose: what people ask for, and what the archive does by itself.

``store`` is the protocol, in roles: ``tokens`` (who asks), ``saves`` (requests to save code), ``forges`` (requests to add a
forge), ``schedule`` (what is visited without being asked). Protocols and their small value types; what is decided on a
request stands elsewhere.
"""

from swhkit.requests.store import Requests
from swhkit.requests.tokens import (
    LOOKED_UP,
    PERMISSIONS,
    PREFIX,
    STRENGTH,
    Token,
    digest_of,
    hour_of,
    new_secret,
)

__all__ = [
    "LOOKED_UP",
    "PERMISSIONS",
    "PREFIX",
    "STRENGTH",
    "Requests",
    "Token",
    "digest_of",
    "hour_of",
    "new_secret",
]
