"""Where mail goes: to the configured server, else into the developers' mail catcher."""

from contextlib import AsyncExitStack

import structlog

from application.core.kernel.ports import Clock
from application.core.notifications.mailer import Mailer
from infrastructure.local.mail_catcher import MailCatcher
from infrastructure.smtp.mailer import SmtpMailer, TlsMode
from interface.bootstrap.settings import Settings, SettingsRefused

_log = structlog.get_logger("soko.mail")


async def open_mailer(
    settings: Settings, *, clock: Clock, resources: AsyncExitStack
) -> tuple[Mailer, MailCatcher | None]:
    """Open the way that mail takes, and the catcher where it ends there; both are closed with `resources`.

    Raises SettingsRefused.
    """
    if not settings.email_host:
        assert not settings.is_production, "the settings refuse the mail catcher in production"
        catcher = MailCatcher(clock=clock, port=0)
        await catcher.start()
        resources.push_async_callback(catcher.stop)
        _log.debug("mail_is_caught", smtp_port=catcher.port)
        mailer = SmtpMailer(clock=clock, host="127.0.0.1", port=catcher.port, sender=settings.email_from, tls="none")
        return mailer, catcher
    try:
        mailer = SmtpMailer(
            clock=clock,
            host=settings.email_host,
            port=settings.email_port,
            sender=settings.email_from,
            tls=tls_of(settings),
            username=settings.email_host_user or None,
            password=settings.email_host_password or None,
        )
    except ValueError as error:
        raise SettingsRefused(f"DEFAULT_FROM_EMAIL, EMAIL_USE_TLS, EMAIL_HOST_USER: {error}") from error
    return mailer, None


def tls_of(settings: Settings) -> TlsMode:
    """Return how the line to the mail server is protected."""
    if settings.email_use_ssl:
        return "tls"
    return "starttls" if settings.email_use_tls else "none"
