"""Which jobs are leased next: the first jobs of lanes, in turn, as far as their groups have room."""

from __future__ import annotations

import heapq
import math
import sqlite3
from collections.abc import Collection, Iterator
from itertools import islice

_PRIORITIES = """
    WITH RECURSIVE level (priority) AS (
        SELECT max(priority) FROM lane
        UNION ALL
        SELECT (SELECT max(lane.priority) FROM lane WHERE lane.priority < level.priority) FROM level
        WHERE level.priority IS NOT NULL
    )
    SELECT priority FROM level WHERE priority IS NOT NULL"""
#: The moment at which the first queued job is due.
FIRST_DUE = f"""
    SELECT min((SELECT min(due) FROM lane WHERE lane.priority = wanted.priority))
    FROM ({_PRIORITIES}) AS wanted"""
_HEADS = "SELECT due, job, group_name, task FROM lane WHERE priority = ? AND due <= ? ORDER BY due, job"
_NEXT = """
    SELECT due, id FROM job INDEXED BY job_queued
    WHERE state = 'queued' AND group_name = ? AND task = ? AND priority = ? AND (due, id) > (?, ?) AND due <= ?
    ORDER BY due, id LIMIT 1"""


class Room:
    """How many jobs of each group may begin now (microseconds, as ``spacing``). Nobody else may be writing."""

    def __init__(self, connection: sqlite3.Connection, now: int, per_group: int | None, spacing: int) -> None:
        self._connection, self._now, self._per_group, self._spacing = connection, now, per_group, spacing
        self._left: dict[str, float] = {"": math.inf}

    def left(self, group: str) -> bool:
        """Whether one may."""
        if group not in self._left:
            self._left[group] = self._find(group)
        return self._left[group] > 0

    def take(self, group: str) -> None:
        """One begins."""
        self._left[group] -= 1

    def _find(self, group: str) -> float:
        sql = "SELECT paused_until, begun FROM job_group WHERE name = ?"
        paused_until, begun = self._connection.execute(sql, (group,)).fetchone() or (None, None)
        if paused_until is not None and paused_until > self._now:
            return 0
        if begun is not None and abs(self._now - begun) < self._spacing:
            return 0
        room = 1 if self._spacing > 0 else math.inf
        if self._per_group is None:
            return room
        sql = "SELECT count(*) FROM job INDEXED BY job_leased WHERE state = 'leased' AND group_name = ?"
        leased: int = self._connection.execute(sql, (group,)).fetchone()[0]
        return min(room, self._per_group - leased)


def chosen(
    connection: sqlite3.Connection, now: int, count: int, room: Room, tasks: Collection[str] | None
) -> list[int]:
    """The numbers of up to ``count`` jobs that are due, in turn; ``room`` is taken for each."""
    levels = [priority for (priority,) in connection.execute(_PRIORITIES)]
    in_turn = (id for level in levels for id in _of_priority(connection, level, now, room, tasks))
    return list(islice(in_turn, max(count, 0)))


def _of_priority(
    connection: sqlite3.Connection, priority: int, now: int, room: Room, tasks: Collection[str] | None
) -> Iterator[int]:
    """Merge the lanes of a priority: one lane's head that was not looked at yet, and the next of each lane that was."""
    heads = iter(connection.execute(_HEADS, (priority, now)))
    waiting = [(*head, True) for head in islice(heads, 1)]
    while waiting:
        due, id, group, task, is_head = heapq.heappop(waiting)
        if is_head:
            for head in islice(heads, 1):
                heapq.heappush(waiting, (*head, True))
        if tasks is not None and task not in tasks:
            continue
        if room.left(group):
            room.take(group)
            yield id
        if room.left(group):
            for following in connection.execute(_NEXT, (group, task, priority, due, id, now)):
                heapq.heappush(waiting, (*following, group, task, False))
