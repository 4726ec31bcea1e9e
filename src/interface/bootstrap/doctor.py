"""Which checks `soko doctor` makes of a server with these settings. Each area adds its own to `checks_of`."""

import importlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import fields
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

import httpx

from application.core.operations.doctor import Check, Doubt, Finding, NotAsked, Trouble, Verdict, diagnose
from domain.core.kernel.errors import NotFound, Unavailable
from infrastructure.postgres.database import dsn_of
from infrastructure.postgres.doctor import DatabaseQuestions, replica_check
from infrastructure.postgres.migrations import head_of
from infrastructure.providers.doctor import look_at_keys
from infrastructure.smtp.doctor import look_at_mail_server
from infrastructure.system.doctor import (
    look_at_descriptors,
    look_at_folder,
    look_at_name,
    look_at_port,
    look_at_python,
)
from interface.bootstrap.settings import SECRET_CHARACTERS_MIN, Settings

OURS: Final = "SOKO_"
HTTP_SECONDS_MAX: Final = 4.0
REDIS_SECONDS_MAX: Final = 4.0
PROBE: Final = b"soko doctor"
BUCKET_ADVICE: Final = "make the bucket, correct the AWS_* settings of it, its key and its address, or start the store"
DARAJA_TOKEN_PATH: Final = "/oauth/v1/generate?grant_type=client_credentials"  # noqa: S105  where tokens are asked for
PAYPAL_TOKEN_PATH: Final = "/v1/oauth2/token"  # noqa: S105  the same


async def examine(
    settings: Settings, wrong: list[str], environment: Mapping[str, str], *, url: str | None, no_database: str
) -> list[Finding]:
    """Make all checks; `no_database` says why there is no `url`, where there is none."""
    findings = [
        Finding("settings", Verdict.FAILED, line, "correct it; .env.example says what each is") for line in wrong
    ]
    secrets = [getattr(settings, each.name) for each in fields(Settings) if each.metadata["secret"]]
    return findings + await diagnose(
        checks_of(settings, environment, url, no_database, has_wrong=bool(wrong)), hidden=secrets
    )


def checks_of(
    settings: Settings, environment: Mapping[str, str], url: str | None, no_database: str, *, has_wrong: bool
) -> list[Check]:
    """Return the checks in the order in which to read them."""
    return [
        *_of_settings(settings, environment, has_wrong=has_wrong),
        *_of_machine(settings),
        *_of_database(settings, url, no_database),
        *_of_redis(settings),
        *_of_storage(settings),
        *_of_mail(settings),
        *_of_payments(settings),
        *_of_address(settings),
    ]


# --- settings


def _of_settings(settings: Settings, environment: Mapping[str, str], *, has_wrong: bool) -> list[Check]:
    async def values() -> str:
        if has_wrong:
            raise NotAsked("see above")
        known = {each.metadata["env"] for each in fields(Settings)}
        return f"{len(known & environment.keys())} set, environment {settings.environment}"

    async def names() -> str:
        known = {each.metadata["env"] for each in fields(Settings)}
        known |= {f"{each.metadata['env']}_FILE" for each in fields(Settings) if each.metadata["secret"]}
        unknown = sorted(name for name in environment if name.startswith(OURS) and name not in known)
        if unknown:
            near = get_close_matches(unknown[0], sorted(known), 1)
            advice = f"do you mean {near[0]}?" if near else "remove it; .env.example lists what there is"
            raise Doubt(f"{', '.join(unknown)}: no such setting", advice)
        return "every name that begins with SOKO_ is one"

    async def secret_key() -> str:
        if not settings.secret_key:
            if settings.is_production:
                raise Trouble("not set", "set SECRET_KEY or SECRET_KEY_FILE: `openssl rand -hex 32`")
            return "made and kept in the data folder"
        length = len(settings.secret_key)
        if length < SECRET_CHARACTERS_MIN or len(set(settings.secret_key)) < 10:
            verdict = Trouble if settings.is_production else Doubt
            raise verdict(f"{length} characters, easily guessed", "take another: `openssl rand -hex 32`")
        return f"{length} characters" + (", and the previous one is accepted" if settings.previous_secret_key else "")

    return [
        Check("settings", values, "correct them"),
        Check("names of settings", names, "correct them"),
        Check("secret key", secret_key, "set SECRET_KEY"),
    ]


# --- the machine


def _of_machine(settings: Settings) -> list[Check]:
    async def port() -> str:
        is_ours = await _answers(f"http://{_loopback(settings)}:{settings.port}/health/live")
        return await look_at_port(settings.host, settings.port, "SOKO_PORT", is_ours=is_ours)

    async def mail_port() -> str:
        if settings.email_host or settings.is_production:
            raise NotAsked("mail goes to EMAIL_HOST")
        number = settings.mail_catcher_port
        is_ours = await _answers(f"http://127.0.0.1:{number}/")
        return await look_at_port("127.0.0.1", number, "SOKO_MAIL_CATCHER_PORT", is_ours=is_ours)

    async def folder() -> str:
        return await look_at_folder(settings.data_path)

    return [
        Check("python", look_at_python, "install Python 3.11 or later"),
        Check("data folder", folder, "set SOKO_DATA_DIR"),
        Check("open files", look_at_descriptors, "raise `ulimit -n`"),
        Check("port", port, "set SOKO_PORT"),
        Check("port of caught mail", mail_port, "set SOKO_MAIL_CATCHER_PORT"),
    ]


def _loopback(settings: Settings) -> str:
    every = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  what listens everywhere is asked here
    return every.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=1, trust_env=False) as client:
            return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


# --- the database


def _of_database(settings: Settings, url: str | None, no_database: str) -> list[Check]:
    from interface.bootstrap.runtime import MIGRATIONS, with_driver

    checks = (
        _skipped("database", no_database)
        if url is None
        else DatabaseQuestions(dsn_of(url), head_of(MIGRATIONS), pool=settings.database_pool).checks()
    )
    if settings.database_replica_url:
        replica = dsn_of(with_driver(settings.database_replica_url))
        checks.append(replica_check(replica, lag_max_s=settings.replica_lag_max_s))
    else:
        checks += _skipped("replica", "DATABASE_REPLICA_URL is empty")
    return checks


def _skipped(name: str, reason: str) -> list[Check]:
    async def look() -> str:
        raise NotAsked(reason)

    return [Check(name, look, "")]


# --- redis


def _of_redis(settings: Settings) -> list[Check]:
    if not settings.redis_url:
        return _skipped("redis", "REDIS_URL is empty: PostgreSQL carries everything")

    from interface.bootstrap.core.redis import redis_checks

    importlib.import_module("infrastructure.redis.health")  # now: it takes longer than many an answer

    async def redis() -> str:
        async with AsyncExitStack() as resources:
            try:
                # the other checks load much meanwhile, so that an answer may come late here
                (check,) = redis_checks(settings, resources, within_s=REDIS_SECONDS_MAX)
                return await check.check()
            except Exception as error:
                raise Doubt(
                    f"it cannot be used: {str(error) or type(error).__name__}",
                    "start it, make room in it, or correct REDIS_URL; meanwhile PostgreSQL does its work",
                ) from error

    return [Check("redis", redis, "correct REDIS_URL")]


# --- files


def _of_storage(settings: Settings) -> list[Check]:
    if settings.storage == "disk":
        return _skipped("bucket", "files are kept in the data folder")

    from interface.bootstrap.core.files_storage import open_storage
    from interface.bootstrap.runtime import with_secret

    importlib.import_module("infrastructure.s3.storage")  # now: it takes longer than many an answer

    async def stored_and_read(key: str) -> bytes:
        async with AsyncExitStack() as resources:
            storage = (await open_storage(with_secret(settings), resources)).storage
            await storage.put(key, _probe(), size_max=len(PROBE))
            try:
                return b"".join([chunk async for chunk in storage.open(key)])
            finally:
                await storage.delete(key)

    async def bucket() -> str:
        try:
            found = await stored_and_read(f"doctor/probe-{os.getpid()}")
        except NotFound as error:
            raise Trouble("what was stored is not there", "look at AWS_STORAGE_BUCKET_NAME and its rules") from error
        except Unavailable as error:
            raise Trouble(f"it cannot be used: {error.__cause__ or type(error).__name__}", BUCKET_ADVICE) from error
        if found != PROBE:
            raise Trouble("what was stored came back otherwise", "look at what stands before the bucket")
        return f"{settings.s3_bucket}: an object was stored, read and deleted"

    return [Check("bucket", bucket, BUCKET_ADVICE)]


async def _probe() -> AsyncIterator[bytes]:
    yield PROBE


# --- mail


def _of_mail(settings: Settings) -> list[Check]:
    if not settings.email_host:
        return _skipped("mail", "EMAIL_HOST is empty: mail is caught, not sent")

    from interface.bootstrap.core.mail import tls_of

    async def mail() -> str:
        return await look_at_mail_server(
            host=settings.email_host,
            port=settings.email_port,
            tls=tls_of(settings),
            username=settings.email_host_user,
            password=settings.email_host_password,
        )

    return [Check("mail", mail, "correct EMAIL_HOST and EMAIL_PORT")]


# --- payments


def _of_payments(settings: Settings) -> list[Check]:
    async def lipana() -> str:
        return await look_at_keys(
            "GET",
            f"{settings.lipana_base_url.rstrip('/')}/transactions?limit=1",
            settings="LIPANA_API_KEY",
            headers={"x-api-key": settings.lipana_api_key, "authorization": f"Bearer {settings.lipana_api_key}"},
            refused=frozenset({401, 403}),
        )

    async def daraja() -> str:
        return await look_at_keys(
            "GET",
            settings.daraja_base_url.rstrip("/") + DARAJA_TOKEN_PATH,
            settings="DARAJA_CONSUMER_KEY and DARAJA_CONSUMER_SECRET",
            auth=(settings.daraja_consumer_key, settings.daraja_consumer_secret),
            refused=frozenset({400, 401, 403}),
        )

    async def stripe() -> str:
        return await look_at_keys(
            "GET",
            f"{settings.stripe_base_url.rstrip('/')}/v1/balance",
            settings="STRIPE_SECRET_KEY",
            headers={"authorization": f"Bearer {settings.stripe_secret_key}"},
        )

    async def paypal() -> str:
        return await look_at_keys(
            "POST",
            settings.paypal_base_url.rstrip("/") + PAYPAL_TOKEN_PATH,
            settings="PAYPAL_CLIENT_ID and PAYPAL_CLIENT_SECRET",
            auth=(settings.paypal_client_id, settings.paypal_client_secret),
            form={"grant_type": "client_credentials"},
        )

    checks: list[Check] = []
    for name, look, configured in (
        ("lipana", lipana, settings.lipana_base_url),
        ("daraja", daraja, settings.daraja_consumer_key),
        ("stripe", stripe, settings.stripe_secret_key),
        ("paypal", paypal, settings.paypal_client_id),
    ):
        is_off = f"{name} has no keys: off, or simulated outside production"
        checks += [Check(name, look, "look at the provider's settings")] if configured else _skipped(name, is_off)
    return checks


# --- addresses


def _of_address(settings: Settings) -> list[Check]:
    async def resolves() -> str:
        return await look_at_name(settings.public_url)

    async def answers() -> str:
        try:
            async with httpx.AsyncClient(timeout=HTTP_SECONDS_MAX) as client:
                reply = await client.get(f"{settings.address}/health/ready")
        except httpx.HTTPError as error:
            raise Doubt(
                f"{settings.address} does not answer ({type(error).__name__})",
                "start the server; where it runs, look at the proxy, its certificate and the firewall",
            ) from error
        if reply.is_success:
            return f"{settings.address} answers and is ready"
        raise Doubt(
            f"{settings.address}/health/ready answers {reply.status_code}",
            "read that page: it names the part; 421 or 400 means that the proxy does not pass the host on",
        )

    async def hosts() -> str:
        if not settings.allowed_hosts:
            raise NotAsked("ALLOWED_HOSTS is empty: every host name is answered")
        host = urlsplit(settings.address).hostname or ""
        if host.lower() not in {one.lower() for one in settings.allowed_hosts}:
            raise Trouble(f"{host} of SOKO_PUBLIC_URL is not answered", f"add {host} to ALLOWED_HOSTS")
        return f"{len(settings.allowed_hosts)} host names, that of SOKO_PUBLIC_URL among them"

    async def origins() -> str:
        broken = [one for one in settings.cors_allowed_origins if one != _origin(one)]
        if broken:
            raise Trouble(
                f"{', '.join(broken)}: no browser sends that",
                "write scheme://host or scheme://host:port, without a path",
            )
        front_end, own = _origin(settings.front_end_address), _origin(settings.address)
        if front_end != own and front_end not in settings.cors_allowed_origins:
            raise Doubt(f"{front_end} of SOKO_FRONT_END_URL may not call", f"add {front_end} to CORS_ALLOWED_ORIGINS")
        return f"{len(settings.cors_allowed_origins)} origins beside {own}"

    return [
        Check("public name", resolves, "correct SOKO_PUBLIC_URL"),
        Check("public address", answers, "correct SOKO_PUBLIC_URL"),
        Check("allowed hosts", hosts, "correct ALLOWED_HOSTS"),
        Check("browser origins", origins, "correct CORS_ALLOWED_ORIGINS"),
    ]


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()
