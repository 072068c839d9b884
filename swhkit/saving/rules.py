"""What may be asked: the words for visit types, and which URLs and archive files are taken. Texts of refusals are here.

They are those of the public archive, since some clients match on them. Nothing is connected to but for ``check_artifacts``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from types import MappingProxyType
from urllib.parse import unquote

from swhkit.errors import InvalidInput, InvalidUrl, VisitError
from swhkit.http import Patience, fetch
from swhkit.net import Network
from swhkit.requests.saves import Artifact
from swhkit.visit import origin_of

#: The word for the archive files of a package, which not everybody may ask for.
ARCHIVES = "archives"
#: Words of the web API for visit types → those of the catalog.
TYPES = MappingProxyType(
    {
        ARCHIVES: "tar",
        "bzr": "bzr",
        "cvs": "cvs",
        "git": "git",
        "hg": "hg",
        "svn": "svn",
        "tarball": "tarball-directory",
    }
)
#: Schemes of URLs that can be asked for by others than a person at the shell.
SCHEMES = ("http", "https", "svn", "git", "rsync", "pserver", "ssh", "bzr", "ftp")
#: Passwords that are none: servers that everybody may read want some word.
PUBLIC_PASSWORDS = ("", "anonymous", "guest", "password")
#: Archive files of one request, and the seconds in which all of them have to be found.
ARTIFACTS, ARTIFACTS_TIME = 1000, 60.0

_PASSWORD = "The provided origin URL contains a password and cannot be accepted for security reasons."  # noqa: S105 (a text)
_USERINFO = re.compile(r"[^/?#@]*://([^/?#]*)@", re.DOTALL)
#: Schemes whose lone user name is of no use for what is public, and may be an access token.
_NAMELESS = ("http", "https", "ftp")
#: Statuses of servers that do not answer HEAD, whatever is there.
_NO_HEAD = (405, 501)


def words(*, privileged: bool) -> list[str]:
    """The visit types that can be asked for, in alphabetical order."""
    return [word for word in TYPES if privileged or word != ARCHIVES]


def check_type(word: str, *, privileged: bool) -> None:
    """Raise ``InvalidInput`` for a visit type that cannot be asked for (by this one)."""
    if word not in words(privileged=privileged):
        allowed = ", ".join(words(privileged=privileged))
        raise InvalidInput(
            f"Visit of type {word} cannot be saved! Allowed types are the following: {allowed}"
        )


def checked_url(network: Network, url: str) -> str:
    """``url`` as it is kept, and as its origin will be known: scheme and host in lower case, without a lone user name that
    is of no use.

    A password is refused even of a person at the shell (``network.from_cli``): it would be in rows and answers. Raises
    ``InvalidInput``. No name is looked up.
    """
    found = _USERINFO.match(url)
    if found is not None and unquote(found[1].partition(":")[2]) not in PUBLIC_PASSWORDS:
        raise InvalidInput(_PASSWORD)
    if network.from_cli:
        return _without_name(network.check(url, resolve=False).url)
    scheme, separator, _ = url.partition("://")
    try:
        if not separator or scheme.lower() not in SCHEMES:
            raise InvalidUrl(url)
        return _without_name(network.check(url, resolve=False).url)
    except InvalidUrl:
        raise InvalidInput(f"The provided origin URL '{url}' is not valid!") from None


def _without_name(url: str) -> str:
    found = _USERINFO.match(url)
    if found is None or ":" in found[1] or url.partition("://")[0] not in _NAMELESS:
        return url
    return origin_of(url)


def check_artifacts(network: Network, artifacts: Sequence[Artifact]) -> None:
    """Raise ``InvalidInput`` unless there are archive files, each has a URL and a version, and is there."""
    if not artifacts:
        raise InvalidInput("Artifacts data are missing for the archives visit type.")
    if len(artifacts) > ARTIFACTS:
        raise InvalidInput(f"No more than {ARTIFACTS} artifacts can be loaded by one request.")
    if not all(artifact.url and artifact.version for artifact in artifacts):
        raise InvalidInput("Missing url or version for an artifact to load.")
    deadline = time.monotonic() + ARTIFACTS_TIME
    for artifact in artifacts:
        if not _is_there(network, artifact.url, deadline):
            raise InvalidInput(f"The provided url ({artifact.url}) does not exist!")


def _is_there(network: Network, url: str, deadline: float) -> bool:
    try:
        with fetch(network, url, method="HEAD", deadline=deadline, patience=Patience(1)) as answer:
            return answer.status in _NO_HEAD or 200 <= answer.status < 300
    except (InvalidUrl, VisitError):
        return False
