"""One S3 server for these tests, and a bucket of its own for each."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from infrastructure.s3.connection import S3Bucket, S3Clients, open_s3
from tests.integration.s3.seaweed import Seaweed

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """Give this pytest process one server of its own."""
    with Seaweed() as server:
        yield server


@pytest.fixture(scope="session")
async def shared_clients(seaweed: Seaweed) -> AsyncIterator[S3Clients]:
    """Open the clients once; a client serves any bucket."""
    async with open_s3(seaweed.bucket("any")) as clients:
        yield clients


@pytest.fixture
async def bucket(seaweed: Seaweed, shared_clients: S3Clients) -> S3Bucket:
    """Give the test an empty bucket that nobody else sees."""
    bucket = seaweed.bucket(f"soko-test-{next(_NUMBERS)}")
    await shared_clients.own.create_bucket(Bucket=bucket.name)
    return bucket
