"""Every setting of the server: its name in the environment, its type, its default, and what it is for.

`.env.example` lists the same names; a test holds the two together. Business settings that an administrator changes at
run time are policies, not settings. A secret may also stand in a file: `SECRET_KEY_FILE` names one for `SECRET_KEY`,
and so for every other setting that is declared as secret.
"""

import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain.core.files.policies import EXTENSIONS, FILE_SIZE_MAX
from domain.core.kernel.policies import Policy, PolicyValueRefused

PORT_MAX = 65535
DRAIN_SECONDS_MAX = 60
PROCESSES_MAX = 64
STATEMENTS_MAX = 10_000
_S3_PREFIX = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,99}/){0,4}")
SECRET_CHARACTERS_MIN = 32
SECRET_FILE_BYTES_MAX = 65536
"""More than any key or address; less than what a wrong path, such as a device or a log, would give."""
POSTGRES_SCHEMES = ("postgresql://", "postgres://", "postgresql+asyncpg://")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
PAYPAL_LIVE = "https://api-m.paypal.com"
DARAJA_LIVE = "https://api.safaricom.co.ke"
CHOICES: Mapping[str, tuple[str, ...]] = {
    "storage": ("disk", "s3"),
    "environment": ("development", "test", "production"),
    "jwt_algorithm": ("HS256", "EdDSA"),
    "broker": ("memory", "redis"),
    "realtime": ("postgres", "redis", "memory"),
    "simulated_cards": ("yes", "no", "auto"),
    "admin_second_factor": ("yes", "no", "auto"),
}
"""The settings that take one of a few words."""


class SettingsRefused(Exception):
    """The settings cannot be used; the message names each one and says what to do."""


def setting(env: str, default: Any, about: str, *, secret: bool = False) -> Any:
    """Declare a setting by its environment name."""
    return field(default=default, metadata={"env": env, "about": about, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    environment: str = setting("SOKO_ENVIRONMENT", "development", "development, test or production")
    debug: bool = setting("DEBUG", False, "Verbose logs; never in production")
    secret_key: str = setting("SECRET_KEY", "", "Signs tokens and links; 32 random bytes or more", secret=True)
    previous_secret_key: str = setting("SOKO_PREVIOUS_SECRET_KEY", "", "Still accepted while keys rotate", secret=True)
    host: str = setting("SOKO_HOST", "127.0.0.1", "Address to listen on")
    port: int = setting("SOKO_PORT", 8000, "Port to listen on")
    public_url: str = setting("SOKO_PUBLIC_URL", "", "Address that people and providers use; empty: host and port")
    front_end_url: str = setting(
        "SOKO_FRONT_END_URL", "", "Where payers' browsers come back from a provider's page; empty: SOKO_PUBLIC_URL"
    )
    backup_key: str = setting(
        "SOKO_BACKUP_KEY", "", "Encrypts backups; 32 random characters or more; empty: they are plain", secret=True
    )
    data_dir: str = setting("SOKO_DATA_DIR", ".data", "Where the embedded database and files on disk are kept")
    allowed_hosts: tuple[str, ...] = setting("ALLOWED_HOSTS", (), "Host names answered; empty: all")
    cors_allowed_origins: tuple[str, ...] = setting("CORS_ALLOWED_ORIGINS", (), "Origins of browser front ends")
    trusted_proxies: tuple[str, ...] = setting(
        "SOKO_TRUSTED_PROXIES", (), "Addresses whose X-Forwarded-For is believed"
    )
    database_url: str = setting("DATABASE_URL", "", "PostgreSQL; empty: the embedded one", secret=True)
    database_pool: int = setting("SOKO_DATABASE_POOL", 10, "Connections per process")
    database_statements: int = setting(
        "SOKO_DATABASE_STATEMENT_CACHE", 512, "Prepared statements kept per connection; 0 for PgBouncer by transaction"
    )
    database_replica_url: str = setting(
        "DATABASE_REPLICA_URL", "", "Streaming replica, for lists that may lag; empty: none", secret=True
    )
    replica_lag_max_s: int = setting("SOKO_REPLICA_LAG_MAX", 5, "Seconds; a replica further behind is not read")
    postgres_bin_dir: str = setting("SOKO_POSTGRES_BIN_DIR", "", "Binaries for the embedded PostgreSQL; empty: found")
    redis_url: str = setting("REDIS_URL", "", "Redis or Valkey, which may lose everything; empty: none", secret=True)
    broker: str = setting("SOKO_BROKER", "memory", "Carries events to workers: memory (each process its own) or redis")
    realtime: str = setting(
        "SOKO_REALTIME", "postgres", "Wakes sockets in every process: postgres or redis; memory: in one only"
    )
    embedded_worker: bool = setting("SOKO_EMBEDDED_WORKER", True, "Run worker and scheduler inside the API process")
    lipana_api_key: str = setting("LIPANA_API_KEY", "", "Secret key of the Lipana account", secret=True)
    lipana_base_url: str = setting("LIPANA_BASE_URL", "", "Lipana's API; empty: the simulator, where it is allowed")
    lipana_callback_secret: str = setting("LIPANA_CALLBACK_SECRET", "", "Signs Lipana's callbacks", secret=True)
    lipana_previous_callback_secret: str = setting(
        "SOKO_LIPANA_PREVIOUS_CALLBACK_SECRET", "", "Still accepted while the secret rotates", secret=True
    )
    lipana_payouts: bool = setting("SOKO_LIPANA_PAYOUTS", False, "Pay withdrawals out through Lipana")
    callback_secret: str = setting("SOKO_CALLBACK_SECRET", "", "Signs /api/payments/callback; empty: off", secret=True)
    stripe_secret_key: str = setting(
        "STRIPE_SECRET_KEY", "", "Key of the Stripe account; empty: off, or simulated", secret=True
    )
    stripe_webhook_secret: str = setting("STRIPE_WEBHOOK_SECRET", "", "Signs Stripe's events", secret=True)
    stripe_previous_webhook_secret: str = setting(
        "SOKO_STRIPE_PREVIOUS_WEBHOOK_SECRET", "", "Still accepted while the secret rotates", secret=True
    )
    stripe_base_url: str = setting("STRIPE_BASE_URL", "https://api.stripe.com", "Stripe's API; in production https")
    simulator_port: int = setting("SOKO_SIMULATOR_PORT", 0, "Port of the M-Pesa simulator; 0: any free one")
    mpesa_gateway: str = setting(
        "SOKO_MPESA_GATEWAY", "", "lipana or daraja; empty: Lipana where it is configured, else the simulator"
    )
    daraja_consumer_key: str = setting(
        "DARAJA_CONSUMER_KEY", "", "Key of the application at Daraja; empty: off, or simulated", secret=True
    )
    daraja_consumer_secret: str = setting("DARAJA_CONSUMER_SECRET", "", "Secret of that application", secret=True)
    daraja_shortcode: str = setting("DARAJA_SHORTCODE", "", "Paybill, or the head office of the till")
    daraja_till: str = setting("DARAJA_TILL", "", "Till that is paid; empty: the paybill")
    daraja_passkey: str = setting("DARAJA_PASSKEY", "", "Passkey of the shortcode", secret=True)
    daraja_base_url: str = setting(
        "DARAJA_BASE_URL", "https://sandbox.safaricom.co.ke", f"Daraja's API; in production {DARAJA_LIVE}"
    )
    daraja_callback_secret: str = setting(
        "DARAJA_CALLBACK_SECRET", "", "Makes the addresses that Daraja calls back; 32 random characters", secret=True
    )
    daraja_previous_callback_secret: str = setting(
        "SOKO_DARAJA_PREVIOUS_CALLBACK_SECRET",
        "",
        "Still accepted while the secret rotates",
        secret=True,
    )
    daraja_sources: tuple[str, ...] = setting(
        "SOKO_DARAJA_SOURCES", (), "Addresses that Daraja's callbacks may come from; empty: any"
    )
    daraja_initiator_name: str = setting(
        "DARAJA_INITIATOR_NAME", "", "API user who pays withdrawals out; empty: no payouts"
    )
    daraja_initiator_password: str = setting("DARAJA_INITIATOR_PASSWORD", "", "Password of that user", secret=True)
    daraja_certificate_path: str = setting(
        "DARAJA_CERTIFICATE_PATH", "", "Safaricom's certificate, for which that password is sealed"
    )
    daraja_payout_shortcode: str = setting(
        "DARAJA_PAYOUT_SHORTCODE", "", "Shortcode that pays out; empty: DARAJA_SHORTCODE"
    )
    paypal_client_id: str = setting("PAYPAL_CLIENT_ID", "", "PayPal's REST application; empty: off, or simulated")
    paypal_client_secret: str = setting("PAYPAL_CLIENT_SECRET", "", "Secret of that application", secret=True)
    paypal_webhook_id: str = setting("PAYPAL_WEBHOOK_ID", "", "PayPal's id of the webhook to this server")
    paypal_base_url: str = setting(
        "PAYPAL_BASE_URL", "https://api-m.sandbox.paypal.com", f"PayPal's API; in production {PAYPAL_LIVE}"
    )
    simulated_cards: str = setting(
        "SOKO_SIMULATED_CARDS", "auto", "Card, Payme and Click by the simulator: yes, no, auto (outside production)"
    )
    email_host: str = setting("EMAIL_HOST", "", "SMTP server; empty: the developers' mail catcher, where it is allowed")
    email_port: int = setting("EMAIL_PORT", 587, "Port of the SMTP server")
    email_host_user: str = setting("EMAIL_HOST_USER", "", "SMTP user")
    email_host_password: str = setting("EMAIL_HOST_PASSWORD", "", "SMTP password", secret=True)
    email_use_tls: bool = setting("EMAIL_USE_TLS", True, "STARTTLS")
    email_use_ssl: bool = setting("EMAIL_USE_SSL", False, "TLS from the first byte")
    email_from: str = setting("DEFAULT_FROM_EMAIL", "Soko <no-reply@soko.example>", "Sender of every mail")
    mail_catcher_port: int = setting("SOKO_MAIL_CATCHER_PORT", 8025, "Page of the developers' mail catcher")
    storage: str = setting("SOKO_STORAGE", "disk", "Where files are kept: disk (under SOKO_DATA_DIR) or s3 (a bucket)")
    s3_bucket: str = setting("AWS_STORAGE_BUCKET_NAME", "", "Bucket for files, for SOKO_STORAGE=s3")
    s3_prefix: str = setting("SOKO_S3_PREFIX", "files/", "Begins every key in the bucket; one per installation")
    s3_region: str = setting("AWS_S3_REGION_NAME", "us-east-1", "Region of the bucket")
    s3_endpoint_url: str = setting("AWS_S3_ENDPOINT_URL", "", "Address of an S3-compatible store; empty: Amazon's")
    s3_public_url: str = setting(
        "SOKO_S3_PUBLIC_URL", "", "The same store as browsers reach it; empty: AWS_S3_ENDPOINT_URL"
    )
    s3_access_key_id: str = setting("AWS_ACCESS_KEY_ID", "", "Access key of the bucket")
    s3_secret_access_key: str = setting("AWS_SECRET_ACCESS_KEY", "", "Secret of that key", secret=True)
    max_file_size_mb: int = setting("MAX_FILE_SIZE_MB", 20, "Default of the policy files.max_size")
    allowed_file_extensions: tuple[str, ...] = setting(
        "ALLOWED_FILE_EXTENSIONS", (), "Default of the policy files.extensions, such as pdf,docx; empty: all"
    )
    admin_second_factor: str = setting(
        "SOKO_ADMIN_SECOND_FACTOR", "auto", "Administrators need a second factor: yes, no, auto (in production)"
    )
    jwt_algorithm: str = setting("SOKO_JWT_ALGORITHM", "HS256", "HS256 or EdDSA")
    log_format: str = setting("SOKO_LOG_FORMAT", "auto", "json, console or auto (console on a terminal)")
    metrics_token: str = setting(
        "SOKO_METRICS_TOKEN", "", "Who sends it may read /metrics; empty: nobody in production", secret=True
    )
    worker_port: int = setting(
        "SOKO_WORKER_PORT", 0, "Where `soko worker` and `soko scheduler` show health and /metrics; 0: nowhere"
    )
    api_processes: int = setting("SOKO_API_PROCESSES", 1, "Processes of soko api, on one port")
    drain_seconds: int = setting(
        "SOKO_DRAIN_SECONDS", 0, "After a stop signal /health/ready is red for so long while requests are answered"
    )
    traces_url: str = setting(
        "SOKO_TRACES_URL", "", "OTLP/HTTP address of a collector, such as http://127.0.0.1:4318/v1/traces; empty: off"
    )

    @property
    def is_production(self) -> bool:
        """Whether real people use this server."""
        return self.environment == "production"

    @property
    def simulates_cards(self) -> bool:
        """Whether card, payme and click are played by the simulator."""
        return self.simulated_cards == "yes" or (self.simulated_cards == "auto" and not self.is_production)

    @property
    def administrators_prove(self) -> bool:
        """Whether administrators act as such only with a second factor."""
        return self.admin_second_factor == "yes" or (self.admin_second_factor == "auto" and self.is_production)

    @property
    def data_path(self) -> Path:
        """Where the embedded database and files on disk are kept."""
        return Path(self.data_dir).expanduser().resolve()

    @property
    def address(self) -> str:
        """The address that people and providers use, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def front_end_address(self) -> str:
        """Where a payer's browser goes from a provider's page, without a slash at its end."""
        return (self.front_end_url or self.address).rstrip("/")

    @property
    def s3_public_address(self) -> str:
        """Where browsers reach the bucket; empty: at Amazon."""
        return self.s3_public_url or self.s3_endpoint_url

    def simulated_secret(self, provider: str) -> str:
        """Return what signs a simulated provider's callbacks: the same in every process with this SECRET_KEY.

        One process starts a payment, and any of them may be called back.
        """
        return hmac.new(self.secret_key.encode(), f"simulated {provider}".encode(), "sha256").hexdigest()

    @property
    def policy_defaults(self) -> Mapping[str, str]:
        """The business settings that the environment gives a default, by the policy's name."""
        return {
            FILE_SIZE_MAX.name: str(self.max_file_size_mb),
            EXTENSIONS.name: ",".join(self.allowed_file_extensions) or EXTENSIONS.default,
        }


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables. Raises SettingsRefused, which names every one that is wrong."""
    settings, wrong = examine_settings(environment)
    if wrong:
        raise SettingsRefused("\n".join(wrong))
    return settings


def examine_settings(environment: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """Return the settings, with the default where one cannot be read, and all that is wrong with them."""
    values: Mapping[str, str] = os.environ if environment is None else environment
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for each in fields(Settings):
        try:
            text = _written(each.metadata["env"], values, is_secret=each.metadata["secret"])
        except SettingsRefused as error:
            wrong.append(str(error))
            continue
        if text is None:
            continue
        try:
            found[each.name] = _read(each.default, text)
        except ValueError:
            kind = "yes or no" if isinstance(each.default, bool) else "a whole number"  # other kinds take any text
            wrong.append(f"{each.metadata['env']}: {text!r} is not {kind}")
    settings = Settings(**found)
    wrong += _unusable(settings)
    if settings.is_production:
        wrong += _unsafe(settings)
    return settings, wrong


def _written(env: str, values: Mapping[str, str], *, is_secret: bool) -> str | None:
    """Return the text of a setting, a secret's perhaps from the file that is named for it. Raises SettingsRefused."""
    by_file = f"{env}_FILE"
    path = values.get(by_file, "") if is_secret else ""
    if not path:
        return values.get(env)
    if values.get(env):
        raise SettingsRefused(f"{env}, {by_file}: set one of the two, not both")
    try:
        with Path(path).open("rb") as file:
            content = file.read(SECRET_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsRefused(f"{by_file}: {path} cannot be read: {error.strerror}") from error
    if len(content) > SECRET_FILE_BYTES_MAX:
        raise SettingsRefused(f"{by_file}: {path} is longer than {SECRET_FILE_BYTES_MAX} bytes, so it is no secret")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SettingsRefused(f"{by_file}: {path} is not text in UTF-8") from error
    if not text:
        raise SettingsRefused(f"{by_file}: {path} is empty")
    return text


def _read(default: object, text: str) -> object:
    match default:
        case bool():
            if text.lower() not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
                raise ValueError(text)
            return text.lower() in {"1", "true", "yes", "on"}
        case int():
            return int(text)
        case tuple():
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case _:
            return text


def _env_of(name: str) -> str:
    return next(str(each.metadata["env"]) for each in fields(Settings) if each.name == name)


def _unusable(settings: Settings) -> list[str]:
    """Return what cannot be used anywhere, with what to do about each."""
    wrong: list[str] = []
    for name, words in CHOICES.items():
        if getattr(settings, name) not in words:
            wrong.append(f"{_env_of(name)}: must be {', '.join(words[:-1])} or {words[-1]}")
    wrong += _unusable_serving(settings)
    wrong += _unusable_storage(settings)
    wrong += _unusable_redis(settings)
    wrong += _unusable_mpesa(settings)
    wrong += _unusable_stripe(settings)
    paypal = (settings.paypal_client_id, settings.paypal_client_secret, settings.paypal_webhook_id)
    if any(paypal) and not all(paypal):
        wrong.append("PAYPAL_CLIENT_ID, PAYPAL_CLIENT_SECRET, PAYPAL_WEBHOOK_ID: set all of them or none")
    if any(paypal) and settings.is_production is not (settings.paypal_base_url.rstrip("/") == PAYPAL_LIVE):
        wrong.append(f"PAYPAL_BASE_URL: must be {PAYPAL_LIVE} in production, and nowhere else")
    if 0 < len(settings.backup_key) < SECRET_CHARACTERS_MIN:
        wrong.append(f"SOKO_BACKUP_KEY: set {SECRET_CHARACTERS_MIN} random characters or more, or none")
    for each in fields(Settings):
        port = getattr(settings, each.name)
        if each.metadata["env"].endswith("_PORT") and not 0 <= port <= PORT_MAX:
            wrong.append(f"{each.metadata['env']}: must be 0 to {PORT_MAX}")
    policies: tuple[tuple[str, Policy[Any]], ...] = (
        ("MAX_FILE_SIZE_MB", FILE_SIZE_MAX),
        ("ALLOWED_FILE_EXTENSIONS", EXTENSIONS),
    )
    for env, policy in policies:
        try:
            policy.parse(settings.policy_defaults[policy.name])
        except PolicyValueRefused as error:
            wrong.append(f"{env}: {error}")
    return wrong


def _unusable_serving(settings: Settings) -> list[str]:
    wrong: list[str] = []
    for name in ("database_url", "database_replica_url"):
        url = getattr(settings, name)
        if url and not url.startswith(POSTGRES_SCHEMES):
            wrong.append(f"{_env_of(name)}: must begin with {POSTGRES_SCHEMES[0]}")
    if settings.database_pool < 1:
        wrong.append("SOKO_DATABASE_POOL: must be 1 or more")
    if not 0 <= settings.database_statements <= STATEMENTS_MAX:
        wrong.append(f"SOKO_DATABASE_STATEMENT_CACHE: must be 0 to {STATEMENTS_MAX}")
    if settings.replica_lag_max_s < 1:
        wrong.append("SOKO_REPLICA_LAG_MAX: must be 1 or more")
    if not 1 <= settings.api_processes <= PROCESSES_MAX:
        wrong.append(f"SOKO_API_PROCESSES: must be 1 to {PROCESSES_MAX}")
    if settings.api_processes > 1 and settings.realtime == "memory":
        wrong.append("SOKO_REALTIME: memory wakes sockets in one process only, and SOKO_API_PROCESSES names several")
    if settings.api_processes > 1 and settings.simulator_port:
        wrong.append(
            "SOKO_SIMULATOR_PORT: must be 0 where SOKO_API_PROCESSES or --processes is more than 1:"
            " each process has a simulator of its own"
        )
    if not 0 <= settings.drain_seconds <= DRAIN_SECONDS_MAX:
        wrong.append(f"SOKO_DRAIN_SECONDS: must be 0 to {DRAIN_SECONDS_MAX}")
    if settings.traces_url and not settings.traces_url.startswith(("http://", "https://")):
        wrong.append("SOKO_TRACES_URL: must be an http:// or https:// address")
    return wrong


def _unusable_storage(settings: Settings) -> list[str]:
    wrong: list[str] = []
    if settings.storage == "s3" and not (
        settings.s3_bucket and settings.s3_access_key_id and settings.s3_secret_access_key
    ):
        wrong.append("AWS_STORAGE_BUCKET_NAME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: set all of them for s3")
    if settings.storage != "s3" and settings.s3_bucket:
        wrong.append("SOKO_STORAGE: must be s3 where AWS_STORAGE_BUCKET_NAME is set")
    if not _S3_PREFIX.fullmatch(settings.s3_prefix):
        wrong.append("SOKO_S3_PREFIX: must be empty, or letters, digits, ., _ and - that end with a slash")
    for env, url in (
        ("AWS_S3_ENDPOINT_URL", settings.s3_endpoint_url),
        ("SOKO_S3_PUBLIC_URL", settings.s3_public_url),
    ):
        if url and not url.startswith(("http://", "https://")):
            wrong.append(f"{env}: must begin with https:// or http://")
    return wrong


def _unusable_redis(settings: Settings) -> list[str]:
    if not settings.redis_url:
        wants = [_env_of(name) for name in ("broker", "realtime") if getattr(settings, name) == "redis"]
        return [f"REDIS_URL: set it for {' and '.join(f'{env}=redis' for env in wants)}"] if wants else []
    if not settings.redis_url.startswith(REDIS_SCHEMES):
        return [f"REDIS_URL: must begin with {', '.join(REDIS_SCHEMES[:-1])} or {REDIS_SCHEMES[-1]}"]
    try:
        address = urlsplit(settings.redis_url)
        address.port  # noqa: B018  raises for what is no number
    except ValueError:
        return ["REDIS_URL: is not an address"]
    is_near = address.scheme == "unix" or address.hostname in {"localhost", "127.0.0.1", "::1"}
    if settings.is_production and not is_near and not address.password:
        return [
            "REDIS_URL: name the password, as in redis://:password@host:6379/0; without one it must be on this machine"
        ]
    return []


def _unusable_mpesa(settings: Settings) -> list[str]:
    wrong: list[str] = []
    if settings.mpesa_gateway not in {"", "lipana", "daraja"}:
        wrong.append("SOKO_MPESA_GATEWAY: must be lipana, daraja or empty")
    needed = (
        settings.daraja_consumer_key,
        settings.daraja_consumer_secret,
        settings.daraja_shortcode,
        settings.daraja_passkey,
        settings.daraja_callback_secret,
    )
    if any(needed) and not all(needed):
        wrong.append(
            "DARAJA_CONSUMER_KEY, DARAJA_CONSUMER_SECRET, DARAJA_SHORTCODE, DARAJA_PASSKEY, DARAJA_CALLBACK_SECRET:"
            " set all of them or none"
        )
    if any(needed) and settings.is_production is not (settings.daraja_base_url.rstrip("/") == DARAJA_LIVE):
        wrong.append(f"DARAJA_BASE_URL: must be {DARAJA_LIVE} in production, and nowhere else")
    payouts = (
        settings.daraja_initiator_name,
        settings.daraja_initiator_password,
        settings.daraja_certificate_path,
    )
    if any(payouts) and not all(payouts):
        wrong.append(
            "DARAJA_INITIATOR_NAME, DARAJA_INITIATOR_PASSWORD, DARAJA_CERTIFICATE_PATH: set all of them or none"
        )
    if settings.daraja_certificate_path and not Path(settings.daraja_certificate_path).is_file():
        wrong.append("DARAJA_CERTIFICATE_PATH: there is no such file")
    return wrong


def _unusable_stripe(settings: Settings) -> list[str]:
    if not settings.stripe_secret_key:
        return []
    wrong: list[str] = []
    mode = "live" if settings.is_production else "test"
    if not settings.stripe_secret_key.startswith((f"sk_{mode}_", f"rk_{mode}_")):
        wrong.append(f"STRIPE_SECRET_KEY: must be a {mode} key, sk_{mode}_... or rk_{mode}_..., in this environment")
    if len(settings.stripe_webhook_secret) < 16:
        wrong.append("STRIPE_WEBHOOK_SECRET: set the whole signing secret of the webhook to this server")
    if settings.is_production and not settings.stripe_base_url.startswith("https://"):
        wrong.append("STRIPE_BASE_URL: must be an https:// address in production")
    return wrong


def _unsafe(settings: Settings) -> list[str]:
    """Return what may not be so in production, with what to do about each."""
    wrong: list[str] = []
    if len(settings.secret_key) < SECRET_CHARACTERS_MIN:
        wrong.append(f"SECRET_KEY: set {SECRET_CHARACTERS_MIN} random characters or more")
    if settings.debug:
        wrong.append("DEBUG: must be off in production")
    if not settings.database_url:
        wrong.append("DATABASE_URL: name a real PostgreSQL")
    takes_mpesa_at_daraja = settings.mpesa_gateway == "daraja"
    if takes_mpesa_at_daraja and not settings.daraja_consumer_key:
        wrong.append("DARAJA_CONSUMER_KEY: the simulator is refused in production")
    if settings.daraja_consumer_key and len(settings.daraja_callback_secret) < SECRET_CHARACTERS_MIN:
        wrong.append(f"DARAJA_CALLBACK_SECRET: set {SECRET_CHARACTERS_MIN} random characters or more")
    has_lipana = settings.lipana_base_url and settings.lipana_api_key and len(settings.lipana_callback_secret) >= 16
    if not has_lipana and (settings.lipana_base_url or not takes_mpesa_at_daraja):
        wrong.append("LIPANA_BASE_URL, LIPANA_API_KEY, LIPANA_CALLBACK_SECRET: the simulator is refused in production")
    if "_test_" in settings.lipana_api_key:
        wrong.append("LIPANA_API_KEY: a test key is refused in production")
    if settings.simulates_cards:
        wrong.append("SOKO_SIMULATED_CARDS: the simulator is refused in production")
    if not settings.email_host:
        wrong.append("EMAIL_HOST: the mail catcher is refused in production")
    if settings.s3_public_address and not settings.s3_public_address.startswith("https://"):
        wrong.append("SOKO_S3_PUBLIC_URL: must be https://, as AWS_S3_ENDPOINT_URL must be where it stands for it")
    if not settings.public_url.startswith("https://"):
        wrong.append("SOKO_PUBLIC_URL: must be the https:// address of this server")
    if not settings.allowed_hosts:
        wrong.append("ALLOWED_HOSTS: name the host names of this server")
    return wrong
