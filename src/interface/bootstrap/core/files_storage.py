"""Where files are kept: in a bucket, where one is configured, else on the disk of this machine."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from application.core.files.links import FileLinks
from application.core.files.storage import ObjectStorage
from application.core.files.transfers import DirectTransfers
from application.core.operations.health import HealthCheck
from infrastructure.local.disk_storage import DiskObjectStorage
from infrastructure.local.health import FolderCheck
from infrastructure.security.signed_links import HmacFileLinks
from interface.bootstrap.settings import Settings
from interface.http.core.files_uploads import OwnTransfers


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStore:
    """The store, how clients reach it, and whether it answers."""

    storage: ObjectStorage
    transfers: DirectTransfers
    check: HealthCheck
    file_links: FileLinks
    upload_links: FileLinks


async def open_storage(settings: Settings, resources: AsyncExitStack) -> FileStore:
    """Open the store that the settings name; it is closed with `resources`."""
    secret = settings.secret_key.encode()
    file_links = HmacFileLinks(secret, audience=settings.address)
    upload_links = HmacFileLinks(secret, audience=f"{settings.address}#uploads")
    if settings.storage == "disk":
        return FileStore(
            storage=DiskObjectStorage(settings.data_path / "files"),
            transfers=OwnTransfers(file_links, upload_links, address=settings.address),
            check=FolderCheck(settings.data_path),
            file_links=file_links,
            upload_links=upload_links,
        )
    # the client of S3 brings aiohttp and botocore with it: nothing for a server that keeps files on its disk
    from infrastructure.s3.connection import S3Bucket, open_s3
    from infrastructure.s3.storage import S3Check, S3ObjectStorage
    from infrastructure.s3.transfers import S3Transfers

    bucket = S3Bucket(
        name=settings.s3_bucket,
        prefix=settings.s3_prefix,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key,
        endpoint_url=settings.s3_endpoint_url or None,
        public_url=settings.s3_public_url or None,
    )
    clients = await resources.enter_async_context(open_s3(bucket))
    return FileStore(
        storage=S3ObjectStorage(clients.own, bucket),
        transfers=S3Transfers(clients.public, bucket),
        check=S3Check(clients.own, bucket),
        file_links=file_links,
        upload_links=upload_links,
    )
