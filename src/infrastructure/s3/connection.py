"""One connection to an S3-compatible store: its client, its limits in time, and its errors in our words."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from domain.core.kernel.errors import NotFound, Unavailable

CONNECT_SECONDS = 2
READ_SECONDS = 4
TRIES = 2
CONNECTIONS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Bucket:
    """Where the files of one deployment stand. `prefix` begins every key and ends with a slash, or is empty."""

    name: str
    prefix: str
    region: str
    access_key_id: str
    secret_access_key: str
    endpoint_url: str | None = None
    """None: Amazon's own, by the region."""
    public_url: str | None = None
    """The endpoint as browsers reach it, where that is another one."""


@dataclass(frozen=True, slots=True)
class S3Clients:
    """`own` for what the server does, `public` to sign what browsers do."""

    own: Any
    public: Any


@asynccontextmanager
async def open_s3(bucket: S3Bucket) -> AsyncIterator[S3Clients]:
    """Open the clients of a bucket; nothing is sent before the first call."""
    async with AsyncExitStack() as clients:
        own = await clients.enter_async_context(_client(bucket, bucket.endpoint_url))
        public = own
        if bucket.public_url is not None and bucket.public_url != bucket.endpoint_url:
            public = await clients.enter_async_context(_client(bucket, bucket.public_url))
        yield S3Clients(own, public)


def _client(bucket: S3Bucket, endpoint_url: str | None) -> Any:
    return get_session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=endpoint_url,
        aws_access_key_id=bucket.access_key_id,
        aws_secret_access_key=bucket.secret_access_key,
        config=AioConfig(
            signature_version="s3v4",
            # Amazon has the bucket in the host name; most others are sure to know it in the path only
            s3={"addressing_style": "virtual" if endpoint_url is None else "path"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
            max_pool_connections=CONNECTIONS_MAX,
            # checksums that some compatible stores refuse; ours is the SHA-256 of the row
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def error_code(error: ClientError) -> str:
    """Return S3's word for an error, such as NoSuchKey."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def as_refusals() -> Iterator[None]:
    """Turn what goes wrong at the store into NotFound, where it says so of the object, or else Unavailable."""
    try:
        yield
    except ClientError as error:
        if error_code(error) in {"NoSuchKey", "404"}:
            raise NotFound from error
        raise Unavailable from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable from error
