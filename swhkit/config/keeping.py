"""Settings of what keeps an archive up to date: jobs, requests to save code, the schedule."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from swhkit.units import Duration, Size


def _doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class JobsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How visits and listings are worked on. A visit or listing runs in a process of its own."""

    workers: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=64,
            description="How many jobs `swhkit serve` works on at a time; 0 leaves them to `worker`.",
        ),
    ] = 1
    lease: Annotated[
        Duration,
        msgspec.Meta(ge=1, description="A job whose worker is not heard of for so long is done by another."),
    ] = 300.0
    attempts: Annotated[
        int, msgspec.Meta(ge=1, le=100, description="How often a job is tried before it has failed.")
    ] = 5
    retry: Annotated[
        Duration,
        msgspec.Meta(
            ge=0.01,
            description="Time before a second try; doubled for each further one, give or take a half.",
        ),
    ] = 60.0
    longest_retry: Annotated[
        Duration, msgspec.Meta(ge=0.01, description="The longest time before another try.")
    ] = 21_600.0
    per_host: Annotated[int, msgspec.Meta(ge=1, description="How many jobs may ask one host at a time.")] = 2
    host_delay: Annotated[
        Duration,
        msgspec.Meta(
            ge=0, description="The least time between the beginnings of two jobs that ask one host."
        ),
    ] = 0.0
    memory: Annotated[
        Size | None,
        msgspec.Meta(
            ge=64 << 20,
            description="Memory that each process of a job may have for itself; null is no limit.",
        ),
    ] = 4 << 30
    output: Annotated[
        Size, msgspec.Meta(ge=1 << 10, description="A job is ended when its process says more than this.")
    ] = 1 << 20
    time: Annotated[
        Duration,
        msgspec.Meta(
            ge=1,
            description="A listing is ended after this; a visit, should it not end at limits.visit_time.",
        ),
    ] = 86_400.0
    keep: Annotated[Duration, _doc("How long it is remembered what became of a job.")] = 30 * 86_400.0


class SaveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided on requests to save an origin."""

    accept: Annotated[tuple[str, ...], _doc("What begins so is visited without review.")] = ()
    reject: Annotated[tuple[str, ...], _doc("What begins so is refused. It wins over accept.")] = ()
    otherwise: Annotated[
        Literal["pending", "accepted", "rejected"],
        _doc("What happens to all else: pending (somebody decides), accepted or rejected."),
    ] = "pending"


class ScheduledOrigin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An origin that is visited every so often."""

    url: str
    type: str | None = None
    every: Annotated[Duration, msgspec.Meta(ge=60)] = 86_400.0


class ScheduleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When origins are visited without being asked."""

    origins: Annotated[
        tuple[ScheduledOrigin, ...],
        _doc("Origins as {url: URL, type: TYPE, every: 1d}; the type is guessed where it is not given."),
    ] = ()
    jitter: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="A visit or listing is put off by up to this part of its interval.",
        ),
    ] = 0.1
    patience: Annotated[
        int,
        msgspec.Meta(
            ge=2,
            le=100,
            description="An origin absent from so many complete listings is visited no more.",
        ),
    ] = 3
