"""The contract of ``Catalog.search_origins``: which origins are found, in which order, in how many pages, with what."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from swhkit.errors import InvalidInput
from swhkit.manifest import object_id
from swhkit.model import Snapshot, VisitStatus
from swhkit.storage import Catalog, FoundOrigin, OriginPage, OriginQuery, Publication
from swhkit.testing import samples
from swhkit.testing.samples import moment

URLS = (
    "https://git.example.org/Ada/Analytical-Engine",
    "https://git.example.org/ada/notes.git",
    "https://svn.example.org/100%25/under_score",
    "https://example.org/ÜBERFLUß/größe",
    "https://git.example.org/ada/notes.git/",
    "git://xy.example/z",
    "a",
    'https://example.org/?q="NEAR(a b)*"',
)


def words(text: str) -> OriginQuery:
    return OriginQuery(words=tuple(text.split()))


def numbers(page: OriginPage) -> list[int]:
    return [found.origin.id for found in page.origins]


class SearchContract:
    """The part of ``CatalogContract`` about searching."""

    @pytest.fixture
    def searched(self, catalog: Catalog) -> Catalog:
        """A catalog with an origin for each of ``URLS``, numbered from 1."""
        for n, url in enumerate(URLS):
            catalog.open_visit(url, "git", moment(n))
        return catalog

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("engine", [1]),
            ("ada git", [1, 2, 5]),
            ("git ada", [1, 2, 5]),
            ("ENGINE AdA", [1]),
            ("notes.git", [2, 5]),
            ("notes.git/", [5]),
            ("überfluss", [4]),
            ("GRÖSSE Überfluß", [4]),
            ("größe", [4]),
            ("engine notes", []),
            ("nginx", []),
            ("xy", [6]),
            ("XY Z", [6]),
            ("z", [6]),
            ("da git", [1, 2, 5]),
            ("ü", [4]),
            ("%", [3]),
            ("100% r_s", [3]),
            ("10_%", []),
            ("under-score", []),
            ("a", [1, 2, 3, 4, 5, 6, 7, 8]),
            ("a a a A", [1, 2, 3, 4, 5, 6, 7, 8]),
            ("https://git.example.org/ada/notes.git/", [5]),
            ("", [1, 2, 3, 4, 5, 6, 7, 8]),
        ],
    )
    def test_all_words_occur_in_any_order_and_case(
        self, searched: Catalog, text: str, expected: list[int]
    ) -> None:
        page = searched.search_origins(words(text))
        assert numbers(page) == expected
        assert (page.total, page.next, page.offset) == (len(expected), None, 0)
        assert [found.origin for found in page.origins] == [searched.origin_by_id(id) for id in expected]

    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ('"', [8]), ('"near(', [8]), ('""', []), (")*", [8]), ("*", [8]), ("NEAR", [8]), ("AND", []), ("url:git", []),
            ("git*", []), ("^https", []), ("'", []), ("--", []), ("- ", []), ("not", [2, 5]), ("{x} : y", []), ("\\", []),
            ("\0", []), ("git\0", []), ("\0\0\0\0", []), ("abc\0def", []), ("\ud800", []), ("git\udcff", []),
            ("\ufffe\uffff\ufffd", []), ("x" * 10_000, []), ("git" * 4_000, []), ("\U0001f600" * 300, []),
            ("(" * 3_000, []), ('"' * 9_999, []),
        ],
    )  # fmt: skip
    def test_nothing_in_a_word_is_syntax(self, searched: Catalog, word: str, expected: list[int]) -> None:
        assert numbers(searched.search_origins(OriginQuery(words=(word,)))) == expected
        with_another = searched.search_origins(OriginQuery(words=("https", word)))
        assert numbers(with_another) == [id for id in expected if "https" in URLS[id - 1]]

    def test_many_words(self, searched: Catalog) -> None:
        url = URLS[0].casefold()
        parts = [url[i : i + n] for n in range(1, 20) for i in range(len(url) - n + 1)]
        assert numbers(searched.search_origins(OriginQuery(words=tuple(parts)))) == [1]
        assert numbers(searched.search_origins(OriginQuery(words=(*parts, "missing")))) == []
        assert numbers(searched.search_origins(OriginQuery(words=("", "", "engine", "")))) == [1]

    def test_words_that_are_longer_than_most(self, searched: Catalog) -> None:
        long = "https://example.org/" + "0123456789" * 50
        searched.open_visit(long, "git", moment(0))
        searched.open_visit(long + "X", "git", moment(0))
        assert numbers(searched.search_origins(words(long))) == [9, 10]
        assert numbers(searched.search_origins(words(long + "x"))) == [10]
        assert numbers(searched.search_origins(words(long + "xx"))) == []

    @pytest.mark.parametrize("text", ["repo", "o", "", "repo o"])
    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_pages_to_the_end_while_origins_are_added(self, catalog: Catalog, text: str, limit: int) -> None:
        for n in range(10):
            catalog.open_visit(f"https://example.org/repo/{n}", "git", moment(n))
            catalog.open_visit(f"svn://example.net/{n}", "svn", moment(n))
        there = [2 * n + 1 for n in range(10)] if "repo" in text else list(range(1, 21))
        if text == "o":
            there = [2 * n + 1 for n in range(10)]
        seen: list[int] = []
        for added, page in enumerate(self._pages(catalog, words(text), limit)):
            seen += numbers(page)
            assert len(page.origins) <= limit
            catalog.open_visit(f"https://example.org/repo/added/{added}", "git", moment(added))
            if added > 100:
                break
        assert seen == sorted(set(seen))
        assert [id for id in seen if id <= 20] == there

    def _pages(self, catalog: Catalog, query: OriginQuery, limit: int) -> Iterator[OriginPage]:
        after: int | None = 0
        while after is not None:
            page = catalog.search_origins(query, after=after, limit=limit)
            yield page
            after = page.next

    @pytest.mark.parametrize("query", [words("example"), words("a"), OriginQuery(regexp="a"), OriginQuery()])
    def test_offset_and_limit(self, searched: Catalog, query: OriginQuery) -> None:
        every = numbers(searched.search_origins(query))
        assert len(every) > 5
        for offset in (0, 1, 5, len(every), 1_000, 1 << 70):
            page = searched.search_origins(query, offset=offset, limit=2)
            assert numbers(page) == every[offset : offset + 2]
            assert (page.next is None) == (offset + 2 >= len(every))
            assert page.total == len(every)
        assert numbers(searched.search_origins(query, after=every[1], offset=1, limit=2)) == every[3:5]
        assert numbers(searched.search_origins(query, offset=-5, limit=2)) == every[:2]
        for limit in (0, -1):
            assert searched.search_origins(query, limit=limit).origins == []
        for after in (1_000, 1 << 70):
            assert searched.search_origins(query, after=after).origins == []
        assert numbers(searched.search_origins(query, after=-(1 << 70))) == every
        assert numbers(searched.search_origins(query, limit=1 << 70)) == every

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("^git:", [6]),
            (r"notes\.git/?$", [2, 5]),
            ("ANALYTICAL|XY", [1, 6]),
            ("(?i)größ", [4]),
            (r"^.{1,3}$", [7]),
            ("", [1, 2, 3, 4, 5, 6, 7, 8]),
            ("(a+)+$", [1, 7]),
            ("(.*a){25}", []),
            (r"\d\d%", [3]),
        ],
    )
    def test_regular_expressions(self, searched: Catalog, pattern: str, expected: list[int]) -> None:
        if pattern == "(a+)+$":
            expected = [n for n, url in enumerate(URLS, 1) if url.endswith("a")]
        page = searched.search_origins(OriginQuery(regexp=pattern))
        assert numbers(page) == expected
        both = searched.search_origins(OriginQuery(words=("git",), regexp=pattern))
        assert numbers(both) == [id for id in expected if "git" in URLS[id - 1]]

    @pytest.mark.parametrize(
        "pattern",
        ["(", "[a", "a**", "(?=a)", r"(a)\1", "(?<=a)b", "(?:a{1000}){1000}", "(" * 999, "\\", "\ud800", "a" * 1_001,
         "x" * 1_000_000, "((((a?){100}){100}){100}){100}", r"\pL{1000}", ".{999}.{999}", "(?P<a>x"],
    )  # fmt: skip
    def test_expressions_that_are_refused(self, searched: Catalog, pattern: str) -> None:
        start = time.monotonic()
        with pytest.raises(InvalidInput, match="regular expression"):
            searched.search_origins(OriginQuery(regexp=pattern))
        assert time.monotonic() - start < 5

    def test_filters(self, catalog: Catalog) -> None:
        full, empty = samples.snapshot(3), Snapshot({})
        visited: list[tuple[str, list[Snapshot | None]]] = [
            ("git", []), ("git", [None]), ("hg", [full]), ("git", [full, empty]), ("git", [empty, full, None]),
        ]  # fmt: skip
        for n, (type, snapshots) in enumerate(visited, start=1):
            for snapshot in snapshots:
                self._visit(catalog, f"https://example.org/{n}", type, snapshot)
            catalog.open_visit(f"https://example.org/{n}", type, moment(99))
        catalog.open_visit("https://example.org/3", "git", moment(100))

        def found(**conditions: object) -> list[int]:
            plain = OriginQuery(**conditions)  # type: ignore[arg-type]
            page = catalog.search_origins(plain)
            assert page.total == len(page.origins)
            for more in (words("example"), words("e"), OriginQuery(regexp="e")):
                query = OriginQuery(
                    more.words, more.regexp, plain.visit_type, plain.with_visit, plain.with_content
                )
                other = catalog.search_origins(query)
                assert (numbers(other), other.total) == (numbers(page), page.total)
            return numbers(page)

        assert found() == [1, 2, 3, 4, 5]
        assert found(with_visit=True) == [3, 4, 5]
        assert found(with_content=True) == [3, 5]
        assert found(with_visit=True, with_content=True) == [3, 5]
        assert found(visit_type="git") == [1, 2, 3, 4, 5]
        assert found(visit_type="hg") == [3]
        assert found(visit_type="hg", with_content=True) == [3]
        for type in ("", "gi", "it", "svn", "hg git", " ", "git ", "g%", "\0", "\ud800", "GIT"):
            assert found(visit_type=type) == []

    def test_what_is_told_of_an_origin(self, catalog: Catalog) -> None:
        first, second = samples.snapshot(3), samples.snapshot(4)
        url = "https://example.org/visited"
        for n, snapshot in enumerate([None, first, second, first, first, None, first]):
            self._visit(catalog, url, "git", snapshot, n)
        catalog.open_visit(url, "hg", moment(50))
        self._visit(catalog, url + "/once", "git", first, 7)
        self._visit(catalog, url + "/failed", "git", None, 8)
        catalog.open_visit(url + "/new", "git", moment(9))
        origins = catalog.origins()
        digest = object_id(first).digest
        assert catalog.search_origins(OriginQuery()).origins == [
            FoundOrigin(origins[0], 8, digest, moment(50), moment(3)),
            FoundOrigin(origins[1], 1, digest, moment(7), moment(7)),
            FoundOrigin(origins[2], 1, None, moment(8), None),
            FoundOrigin(origins[3], 1, None, moment(9), None),
        ]
        assert origins[0].visit_types == ("git", "hg")

    def _visit(
        self, catalog: Catalog, url: str, type: str, snapshot: Snapshot | None, number: int = 0
    ) -> None:
        """A visit that begins at moment ``number`` and ends with a snapshot, or fails."""
        status = VisitStatus.FAILED if snapshot is None else VisitStatus.FULL
        opened = catalog.open_visit(url, type, moment(number))
        catalog.publish(url, opened.number, Publication(status=status, date=moment(1_000), snapshot=snapshot))

    def test_an_empty_catalog_finds_nothing(self, catalog: Catalog) -> None:
        for query in (OriginQuery(), words("git"), words("a"), OriginQuery(regexp="a")):
            assert catalog.search_origins(query) == OriginPage([], 0)
