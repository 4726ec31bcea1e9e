"""Whether a mail server lets us in, for `soko doctor`; nothing is sent."""

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException

from application.core.operations.doctor import Trouble
from infrastructure.smtp.mailer import TlsMode

TIMEOUT_S = 4.0


async def look_at_mail_server(*, host: str, port: int, tls: TlsMode, username: str, password: str) -> str:
    """Connect, begin TLS where it is asked for, and sign in. Raises Trouble."""
    client = SMTP(
        hostname=host,
        port=port,
        username=username or None,
        password=password or None,
        timeout=TIMEOUT_S,
        use_tls=tls == "tls",
        start_tls=tls == "starttls",
    )
    where = f"{host}:{port}"
    try:
        await client.connect()
        await client.quit(timeout=1)
    except SMTPAuthenticationError as error:
        raise Trouble(
            f"{where} refuses the user ({error.code})", "correct EMAIL_HOST_USER and EMAIL_HOST_PASSWORD"
        ) from error
    except (SMTPException, OSError, ValueError) as error:
        raise Trouble(
            f"{where} cannot be used: {error}", "correct EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS and EMAIL_USE_SSL"
        ) from error
    finally:
        client.close()
    signed_in = "signed in" if username else "without signing in"
    return f"{where} answers, {'over TLS' if tls != 'none' else 'without TLS'}, {signed_in}"
