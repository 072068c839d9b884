"""The contract of ``Jobs``: how leases are extended, run out and end, and what comes again."""

from __future__ import annotations

import pytest

from swhkit.jobs import ATTEMPTS, Ending, Jobs, JobState, Lease
from swhkit.testing.job_queue import ended, job, keys, known, leased
from swhkit.testing.samples import NOON, moment

_QUEUED, _LEASED, _DONE, _FAILED = JobState.QUEUED, JobState.LEASED, JobState.DONE, JobState.FAILED


class JobLeasesContract:
    """The part of ``JobsContract`` about leases."""

    # --- how they end ---

    def test_a_lease_says_who_has_the_job_until_when(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        (lease,) = jobs.lease("wörker-1", 2.5, moment(1))
        kept = lease.job
        assert (kept.state, kept.worker, kept.lease_ends) == (_LEASED, "wörker-1", moment(3.5))
        assert (kept.leased, kept.ended, kept.is_open) == (1, None, True)
        assert known(jobs, kept.id) == jobs.open("a") == kept

    @pytest.mark.parametrize("state", [_DONE, _FAILED])
    def test_a_job_that_is_through(self, jobs: Jobs, state: JobState) -> None:
        jobs.enqueue([job("a")], NOON)
        lease = leased(jobs)
        assert ended(jobs, lease, state, moment(5), result={"status": ["ü", None]}, error="it is odd")
        kept = known(jobs, lease.job.id)
        assert (kept.state, kept.ended, kept.is_open) == (state, moment(5), False)
        assert (kept.result, kept.error) == ({"status": ["ü", None]}, "it is odd")
        assert (kept.worker, kept.lease_ends, kept.again, kept.leased) == (None, None, None, 1)
        assert (kept.not_before, kept.created) == (NOON, NOON)
        assert jobs.open("a") is None
        assert jobs.lease("w", 60, moment(999)) == []

    def test_another_try(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", attempts=3)], NOON)
        first = leased(jobs)
        assert ended(jobs, first, _QUEUED, moment(1), not_before=moment(10), error="no answer", result="no")
        kept = known(jobs, first.job.id)
        assert (kept.state, kept.not_before, kept.leased) == (_QUEUED, moment(10), 1)
        assert (kept.error, kept.result, kept.worker, kept.ended) == ("no answer", None, None, None)
        assert jobs.lease("w", 60, moment(9)) == []
        second = leased(jobs, moment(10))
        assert (second.job.leased, second.job.error) == (2, "no answer")
        assert ended(jobs, second, _QUEUED, moment(11))
        assert (jobs.next_due(), known(jobs, first.job.id).error) == (moment(11), "no answer")
        third = leased(jobs, moment(11))
        assert ended(jobs, third, _DONE, moment(12))
        assert known(jobs, first.job.id).state is _DONE

    def test_after_so_many_tries_it_has_failed(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a")], NOON)
        for n in range(1, ATTEMPTS + 1):
            assert known(jobs, kept.id).state is _QUEUED
            assert ended(jobs, leased(jobs), _QUEUED, error=f"error {n}", result=n)
        kept = known(jobs, kept.id)
        assert (kept.state, kept.leased, kept.error) == (_FAILED, ATTEMPTS, f"error {ATTEMPTS}")
        assert (kept.result, kept.ended) == (ATTEMPTS, NOON)

    def test_what_is_given_back_was_never_leased(self, jobs: Jobs) -> None:
        before = jobs.enqueue([job("a", attempts=1), job("b")], NOON)
        for _ in range(3):
            lease = leased(jobs, moment(5))
            assert (lease.job.key, lease.job.leased) == ("a", 1)
            assert ended(jobs, lease, _QUEUED, moment(6), counts=False)
            assert jobs.jobs(one.id for one in before) == {one.id: one for one in before}
        assert ended(jobs, leased(jobs), _QUEUED, counts=False, not_before=moment(50))
        assert known(jobs, before[0].id).not_before == moment(50)
        assert keys(jobs.lease("w", 60, moment(50), count=2)) == ["b", "a"]

    def test_a_lease_ends_once(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a"), job("b"), job("c")], NOON)
        a, b, c = jobs.lease("w", 60, NOON, count=3)
        batch = [
            Ending(lease=a, state=_DONE, result=1),
            Ending(lease=b, state=_QUEUED, not_before=moment(9)),
            Ending(lease=a, state=_FAILED, result=2, error="no"),
            Ending(lease=b, state=_DONE),
        ]
        assert jobs.end(batch, moment(1)) == [True, True, False, False]
        before = [known(jobs, lease.job.id) for lease in (a, b, c)]
        assert [one.state for one in before] == [_DONE, _QUEUED, _LEASED]
        assert jobs.end(batch, moment(2)) == [False] * 4
        assert jobs.end([], NOON) == []
        assert jobs.extend([a, b], 60, NOON) == []
        assert [known(jobs, lease.job.id) for lease in (a, b, c)] == before

    def test_leases_of_jobs_that_are_not_there_do_not_count(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        lease = leased(jobs)
        ended(jobs, lease)
        assert jobs.prune(moment(1)) == 1
        assert not ended(jobs, lease)
        assert jobs.extend([lease], 60, NOON) == []
        assert jobs.extend([], 60, NOON) == []

    def test_leased_is_no_ending(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a"), job("b")], NOON)
        a, b = jobs.lease("w", 60, NOON, count=2)
        with pytest.raises(ValueError, match="not as leased"):
            jobs.end([Ending(lease=a, state=_DONE), Ending(lease=b, state=_LEASED)], NOON)
        assert known(jobs, a.job.id).state is _LEASED

    def test_an_error_that_is_no_unicode_is_kept_escaped(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        lease = leased(jobs)
        assert ended(jobs, lease, _FAILED, error="no file caf\udce9", result={"file": "caf\udce9"})
        kept = known(jobs, lease.job.id)
        assert (kept.error, kept.result) == ("no file caf\\udce9", {"file": "caf\udce9"})

    # --- how they run out ---

    def test_a_lease_that_ran_out_comes_back_and_not_before(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", group="g"), job("b", not_before=moment(1))], NOON)
        lost = leased(jobs)
        assert keys(jobs.lease("v", 60, moment(59.999999), count=9)) == ["b"]
        (lease,) = jobs.lease("v", 60, moment(60), count=9, per_group=1)
        assert (lease.job.key, lease.job.worker, lease.job.leased) == ("a", "v", 2)
        assert lease.number != lost.number
        assert lease.job.not_before == NOON

    def test_the_word_of_the_loser_is_not_heard(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        lost, lease = leased(jobs), leased(jobs, moment(60))
        before = known(jobs, lease.job.id)
        assert jobs.extend([lost], 600, moment(61)) == []
        for state in (_DONE, _FAILED, _QUEUED):
            assert not ended(jobs, lost, state, moment(61), error="late", result=1)
        assert not ended(jobs, lost, _QUEUED, moment(61), counts=False)
        assert known(jobs, lease.job.id) == before
        assert jobs.extend([lost, lease], 600, moment(61)) == [lease]
        assert ended(jobs, lease)
        assert not ended(jobs, lost)

    def test_numbers_differ_between_all_leases_of_a_job(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", attempts=99)], NOON)
        found: list[Lease] = []
        for n in range(12):
            found.append(leased(jobs, moment(60 * n)))
            now = moment(60 * n + 1)
            if n % 4 == 1:
                assert ended(jobs, found[-1], _QUEUED, now)
            elif n % 4 == 2:
                assert ended(jobs, found[-1], _QUEUED, now, counts=False)
            elif n % 4 == 3:
                jobs.enqueue([job("a")], now)
                assert ended(jobs, found[-1], _DONE, now)
            assert jobs.extend(found, 59, now) == (found[-1:] if n % 4 == 0 else [])
        assert len({lease.number for lease in found}) == 12

    def test_extended_leases_last_longer(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a"), job("b")], NOON)
        a, b = jobs.lease("w", 60, NOON, count=2)
        assert jobs.extend([b, a], 60, moment(50)) == [b, a]
        assert known(jobs, a.job.id).lease_ends == jobs.next_due() == moment(110)
        assert jobs.lease("v", 60, moment(109), count=2) == []
        assert jobs.extend([a], 10, moment(55)) == [a]
        assert leased(jobs, moment(65)).job.key == "a"
        assert jobs.extend([a, b], 60, moment(66)) == [b]

    def test_a_lease_is_valid_until_another_has_the_job(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", group="g"), job("b", group="g")], NOON)
        a, b = jobs.lease("w", 60, NOON, count=2)
        jobs.pause("g", moment(1000))
        assert jobs.lease("v", 60, moment(70)) == []  # both are back in the queue, and nobody may have them
        kept = known(jobs, a.job.id)
        assert (kept.state, kept.worker, kept.lease_ends, kept.leased) == (_QUEUED, "w", None, 1)
        assert ended(jobs, a, _DONE, moment(71))
        assert known(jobs, a.job.id).state is _DONE
        assert jobs.extend([b], 2000, moment(71)) == [b]
        kept = known(jobs, b.job.id)
        assert (kept.state, kept.worker, kept.lease_ends) == (_LEASED, "w", moment(2071))
        assert jobs.lease("v", 60, moment(1000)) == []
        assert ended(jobs, b, _DONE, moment(3000))

    def test_a_job_whose_workers_die_has_failed_in_the_end(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a", attempts=3)], NOON)
        leases = [leased(jobs, moment(60 * n)) for n in range(3)]
        assert jobs.lease("w", 60, moment(180)) == []
        kept = known(jobs, kept.id)
        assert (kept.state, kept.error, kept.ended) == (_FAILED, "its workers died 3 times", moment(180))
        assert (kept.leased, kept.worker, kept.lease_ends, kept.result) == (3, None, None, None)
        assert not ended(jobs, leases[-1])
        assert jobs.extend(leases, 60, moment(181)) == []
        assert known(jobs, kept.id) == kept

    def test_only_deaths_are_called_deaths(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a", attempts=4, group="g")], NOON)
        assert ended(jobs, leased(jobs), _QUEUED, error="no answer")
        late = leased(jobs)
        jobs.pause("g", moment(100))
        assert jobs.lease("w", 60, moment(99)) == []
        assert ended(jobs, late, _QUEUED, moment(99))  # late, but not dead
        for now in (moment(100), moment(200)):
            assert leased(jobs, now).job.id == kept.id
        assert jobs.lease("w", 60, moment(300)) == []
        assert known(jobs, kept.id).error == "its workers died 2 times"
        (kept,) = jobs.enqueue([job("b", attempts=1)], NOON)
        leased(jobs)
        assert jobs.lease("w", 60, moment(300)) == []
        assert known(jobs, kept.id).error == "its workers died 1 time"

    # --- what comes again ---

    def test_a_push_during_a_visit_causes_exactly_one_more(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a", priority=9)], NOON)
        lease = leased(jobs)
        for n in (7, 3, 5):
            (same,) = jobs.enqueue(
                [job("a", not_before=moment(n), arguments={"n": n}, priority=n)], moment(2)
            )
            assert (same.id, same.state, same.arguments, same.priority) == (kept.id, _LEASED, {"url": "a"}, 9)
        assert known(jobs, kept.id).again == moment(3)
        assert jobs.lease("v", 60, moment(9)) == []
        assert ended(jobs, lease, _DONE, moment(10), result=1)
        kept = known(jobs, kept.id)
        assert (kept.state, kept.not_before, kept.again) == (_QUEUED, moment(3), None)
        assert (kept.arguments, kept.priority) == ({"n": 5}, 7)
        assert (kept.leased, kept.result, kept.ended, kept.worker) == (0, 1, None, None)
        lease = leased(jobs, moment(10))
        assert ended(jobs, lease, _DONE, moment(11), result=2)
        kept = known(jobs, kept.id)
        assert (kept.state, kept.result, kept.ended) == (_DONE, 2, moment(11))
        assert jobs.lease("w", 60, moment(999)) == []

    @pytest.mark.parametrize("state", [_DONE, _FAILED, _QUEUED])
    def test_it_comes_again_whatever_the_ending(self, jobs: Jobs, state: JobState) -> None:
        (kept,) = jobs.enqueue([job("a", attempts=1)], NOON)
        lease = leased(jobs)
        jobs.enqueue([job("a", not_before=moment(50))], moment(1))
        assert ended(jobs, lease, state, moment(2), error="odd", result=[1])
        kept = known(jobs, kept.id)
        assert (kept.state, kept.not_before, kept.leased) == (_QUEUED, moment(50), 0)
        assert (kept.error, kept.result) == ("odd", [1])
        assert jobs.open("a") == kept

    @pytest.mark.parametrize(
        ("counts", "tried", "due"), [(True, 20, 20), (True, 90, 50), (False, None, 0), (False, 70, 50)]
    )
    def test_what_was_not_done_comes_no_later_for_it(
        self, jobs: Jobs, counts: bool, tried: int | None, due: int
    ) -> None:
        (kept,) = jobs.enqueue([job("a", priority=3)], NOON)
        lease = leased(jobs)
        jobs.enqueue([job("a", not_before=moment(50), arguments={}, priority=1)], moment(1))
        at = None if tried is None else moment(tried)
        assert ended(jobs, lease, _QUEUED, moment(2), not_before=at, counts=counts)
        kept = known(jobs, kept.id)
        assert (kept.not_before, kept.priority, kept.arguments, kept.again) == (moment(due), 3, {}, None)

    def test_the_lease_after_a_lost_one_is_that_doing(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a")], NOON)
        leased(jobs)
        jobs.enqueue([job("a", arguments={"n": 2}, priority=5)], moment(1))
        lease = leased(jobs, moment(60))
        assert (lease.job.arguments, lease.job.again, lease.job.leased) == ({"n": 2}, None, 2)
        assert lease.job.priority == 5
        assert ended(jobs, lease, now=moment(61))
        assert known(jobs, kept.id).state is _DONE

    def test_what_is_asked_for_later_stays_so_after_a_lost_lease(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        leased(jobs)
        jobs.enqueue([job("a", not_before=moment(500), arguments={"n": 2})], moment(1))
        lease = leased(jobs, moment(60))
        assert (lease.job.arguments, lease.job.again) == ({"url": "a"}, moment(500))
        assert ended(jobs, lease, now=moment(61))
        assert (jobs.next_due(), jobs.open("a").arguments) == (moment(500), {"n": 2})  # type: ignore[union-attr]  # open

    def test_a_push_is_not_lost_to_a_late_word(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", group="g")], NOON)
        late = leased(jobs)
        jobs.pause("g", moment(100))
        assert jobs.lease("v", 60, moment(60)) == []
        (kept,) = jobs.enqueue([job("a", arguments={"n": 2})], moment(61))
        assert kept.state is _QUEUED
        assert ended(jobs, late, _DONE, moment(62))
        lease = leased(jobs, moment(100))
        assert (lease.job.id, lease.job.arguments, lease.job.leased) == (kept.id, {"n": 2}, 1)
        assert ended(jobs, lease, now=moment(101))
        assert jobs.open("a") is None

    def test_a_failed_job_comes_again_if_it_was_asked_for(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a", attempts=1)], NOON)
        leased(jobs)
        jobs.enqueue([job("a", not_before=moment(70))], moment(1))
        assert jobs.lease("w", 60, moment(60)) == []
        kept = known(jobs, kept.id)
        assert (kept.state, kept.leased, kept.error) == (_QUEUED, 0, "its workers died 1 time")
        lease = leased(jobs, moment(70))
        assert ended(jobs, lease, _DONE)
