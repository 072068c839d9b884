"""What the server counts of itself, and tells at ``/metrics``.

One registry an application, so that two in one process do not meet. The names are for good: dashboards know them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from swhkit.archive import Archive
from swhkit.errors import SwhkitError

#: The text format of Prometheus, version 0.0.4.
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: What is counted for requests that lead to no route.
UNROUTED = "unrouted"
#: Upper bounds of the histogram of seconds. Never changed: a histogram cannot be compared with one of other buckets.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts requests. ``under_way`` and ``waiting`` tell how many requests are being answered and how many jobs wait
    for a thread. ``draining`` is set once the server has been told to end."""

    def __init__(
        self, archive: Archive, under_way: Callable[[], int] = int, waiting: Callable[[], int] = int
    ) -> None:
        self.draining = False
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Live(archive, self, under_way, waiting))
        self._requests = Counter(
            "swhkit_http_requests",
            "Requests answered, by route and class of status.",
            ("route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "swhkit_http_request_seconds",
            "Seconds until an answer was ready or, if it is large, sent.",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._bytes = Counter("swhkit_http_response_bytes", "Bytes of bodies sent.", registry=registry)
        self._throttled = Counter(
            "swhkit_http_throttled", "Requests refused because there were too many.", registry=registry
        )
        self._malformed = Counter(
            "swhkit_http_malformed", "Requests refused because they were no HTTP.", registry=registry
        )
        # Looking a labelled child up costs as much as counting.
        self._counters = lru_cache(maxsize=4096)(self._requests.labels)
        self._timers = lru_cache(maxsize=1024)(self._seconds.labels)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._counters(route, f"{status // 100}xx").inc()
        self._timers(route).observe(seconds)
        if status == 429:
            self._throttled.inc()

    def sent(self, count: int) -> None:
        """Count bytes of a body."""
        self._bytes.inc(count)

    def malformed(self) -> None:
        """Count a request that was no HTTP."""
        self._malformed.inc()

    def text(self) -> bytes:
        """Everything, for Prometheus."""
        return generate_latest(self._registry)


class _Live(Collector):
    """What is asked for at the moment somebody looks."""

    def __init__(
        self, archive: Archive, metrics: Metrics, under_way: Callable[[], int], waiting: Callable[[], int]
    ) -> None:
        self._archive, self._metrics = archive, metrics
        self._under_way, self._waiting = under_way, waiting

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Gauges."""
        yield _gauge("swhkit_http_requests_under_way", "Requests being answered.", self._under_way())
        yield _gauge("swhkit_thread_queue_length", "Jobs that wait for a thread.", self._waiting())
        yield _gauge("swhkit_draining", "1 once the server was told to end.", int(self._metrics.draining))
        try:
            counters = self._archive.catalog.counters()
        except (SwhkitError, OSError) as error:
            _log.warning("the counters of the archive cannot be read: %s", error)
            return
        family = GaugeMetricFamily(
            "swhkit_archive_objects", "What the archive holds, by kind.", labels=["kind"]
        )
        for kind, count in counters.items():
            family.add_metric([kind], count)
        yield family


def _gauge(name: str, summary: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, summary, value=value)
