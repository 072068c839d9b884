"""The API over stores on disk: streams are read by whichever thread is free."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from archives import KINDS, archive
from reading_samples import Sample

from swhkit.api.app import make_app


@pytest.mark.parametrize("kind", KINDS)
async def test_large_contents_at_the_same_time(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path) as opened:
        sample = Sample(opened.objects, opened.catalog)
        data = b"".join(b"%015d\n" % n for n in range(1 << 21))
        row = sample._content(data)
        path = f"/api/1/content/sha256:{row.sha256.hex()}/raw/"
        async with TestClient(TestServer(make_app(opened, threads=4))) as client:

            async def digest() -> str:
                answer = await client.get(path)
                return hashlib.sha256(await answer.read()).hexdigest()

            expected = [hashlib.sha256(data).hexdigest()] * 6
            assert await asyncio.gather(*(digest() for _ in expected)) == expected
            answer = await client.get(f"/api/1/raw/swh:1:cnt:{row.sha1_git.hex()}/")
            assert hashlib.sha1(await answer.read()).digest() == row.sha1_git
            # Nobody reads these to their end.
            for _ in range(3):
                answer = await client.get(path)
                await answer.content.read(1)
                answer.close()
            assert (await client.get(f"/api/1/revision/{sample.merge.hex()}/log/")).status == 200
