"""pyswh's look at its budget, which it takes before everything. Runs in the environment of the clients.

pyswh has the address of the public archive built in; requests for it are led to the base URL that is the argument.
"""

from __future__ import annotations

import sys
from typing import Any

import requests
from pyswh import swh

PUBLIC = "https://archive.softwareheritage.org/api/1/"


class Led(requests.Session):
    """A session that asks another archive."""

    def request(self, method: Any, url: Any, *args: Any, **named: Any) -> requests.Response:
        """As always, below the other base URL."""
        assert url.startswith(PUBLIC)
        return super().request(method, sys.argv[1] + url.removeprefix(PUBLIC), *args, **named)


def main() -> None:
    """Ends well if pyswh would go on at once."""
    requests.sessions.Session = Led  # type: ignore[misc]
    swh._check_rate_limit()
    print("goes on")


if __name__ == "__main__":
    main()
