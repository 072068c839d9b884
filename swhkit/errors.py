"""Every error swhkit raises on purpose. The caller's next action is the classification.

::

    SwhkitError
    ├── InvalidInput             what was asked is wrong: correct it and ask again        (CLI 2, HTTP 400)
    │   ├── InvalidSwhid         a text that is no SWHID
    │   ├── InvalidUrl           an origin URL that is refused before anything is started
    │   ├── InvalidManifest      bytes that cannot be read as the object they claim to be
    │   ├── ConfigError          the configuration: names file, line and key
    │   └── PluginError          plugins that clash, or one the configuration names that does not load
    ├── NotHeld                  the archive does not hold it; asking again will not help (CLI 1, HTTP 404)
    ├── Unreachable              it cannot be told whether it is held: a peer is away     (CLI 1, HTTP 503)
    ├── TooLarge                 it is held, but not to be read whole: use ``stream``
    ├── Corrupt                  held bytes do not match their id: run ``swhkit check``   (CLI 1, HTTP 500)
    │   └── Collision            another body arrived under a held id: nothing was stored
    ├── Busy                     somebody else holds the lock for too long: try later
    ├── MissingProgram           a program is not installed: says what brings it
    ├── ChildFailed              a child process failed: carries its code and last words
    │   └── ChildTimeout         it was killed because its time was up
    └── VisitError               a visit cannot come to a full end
        ├── NotFound             the origin is not there                                  (visit ``not_found``)
        ├── Unavailable          the origin does not answer, or answers nonsense          (visit ``failed``)
        ├── LimitExceeded        the origin is larger than the limits allow               (visit ``failed``)
        └── Incomplete           objects are missing that the snapshot needs              (visit ``failed``)
            └── HeldDamaged      it needs one that is held damaged, and no good copy came (visited once more)

``NotHeld`` and ``Unreachable`` are different answers down to the status code: the first is knowledge, the second
is the lack of it.
"""

from __future__ import annotations


class SwhkitError(Exception):
    """Base of all. ``str(error)`` is one clear sentence: what was asked, what was found, what to do."""


class InvalidInput(SwhkitError):
    """The request itself is wrong; the same request will always fail."""


class InvalidSwhid(InvalidInput):
    """A text that is no SWHID (ISO/IEC 18670)."""


class InvalidUrl(InvalidInput):
    """An origin URL that is refused before any process or connection is started."""


class InvalidManifest(InvalidInput):
    """Bytes that cannot be read as the kind of object they are said to be."""


class ConfigError(InvalidInput):
    """The configuration is wrong. The text begins with ``file:line:`` and names the path of the key."""


class PluginError(InvalidInput):
    """Two plugins claim one name, or a plugin that the configuration names cannot be used."""


class NotHeld(SwhkitError):
    """The archive does not hold what was asked for."""


class Unreachable(SwhkitError):
    """Whether it is held cannot be told: the peer that knows does not answer."""


class TooLarge(SwhkitError):
    """The object is larger than what ``read`` returns whole; ``stream`` gives it in chunks."""


class Corrupt(SwhkitError):
    """Held bytes do not hash to their id, or a container of them is damaged: ``file``, where that is known."""

    def __init__(self, text: str = "", file: str | None = None) -> None:
        super().__init__(text)
        self.file = file


class Collision(Corrupt):
    """Another body arrived under an id that is held: an attack (or a broken peer). Nothing was stored."""


class Busy(SwhkitError):
    """A lock could not be taken in time."""


class MissingProgram(SwhkitError):
    """A program is not installed; the text says which package brings it."""


class ChildFailed(SwhkitError):
    """A child process ended with a code other than 0.

    Attributes: ``argv`` (list of str), ``code`` (int; negative: the signal that ended it), ``stderr`` (its last
    words, cleaned of control characters, at most a few kilobytes).
    """

    def __init__(self, argv: list[str], code: int, stderr: str) -> None:
        self.argv, self.code, self.stderr = argv, code, stderr
        last = stderr.strip().splitlines()[-1:] or ["(it said nothing)"]
        super().__init__(f"{' '.join(argv[:3])} ended with {code}: {last[0]}")


class ChildTimeout(ChildFailed):
    """A child process was killed because its time was up."""


class VisitError(SwhkitError):
    """A visit cannot come to a full end; loaders raise the subclasses."""


class NotFound(VisitError):
    """The origin is not there (the visit becomes ``not_found``)."""


class Unavailable(VisitError):
    """The origin does not answer, or its answer cannot be used (the visit becomes ``failed``).

    ``retry_after``: seconds after which its server wants to be asked again, if it said so.
    """

    def __init__(self, text: str = "", retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class LimitExceeded(VisitError):
    """The origin exceeds a configured limit (the visit becomes ``failed``)."""


class Incomplete(VisitError):
    """Objects that the snapshot needs are neither staged nor held (the visit becomes ``failed``)."""


class HeldDamaged(Incomplete):
    """The snapshot needs an object that is held damaged, and no good copy of it came: the visit is made once more, and
    then brings everything."""
