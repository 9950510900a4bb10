"""What a mail server answers, as errors of the product's tree."""

from __future__ import annotations

from order_to_cash.domain.errors import ConfigurationError, CredentialsRefused, O2CError, Refused, Unavailable


def taken(answer: tuple[int, bytes], what: str, remedy: str = "") -> str:
    """The reply's text, or the refusal as an error. 4xx: later; 5xx: never (RFC 5321, 4.2.1)."""
    code, reply = answer
    if 200 <= code < 300:
        return reply.decode("utf-8", "replace")
    raise said_no(code, what, remedy)


def said_no(code: int, what: str, remedy: str = "") -> O2CError:
    if 400 <= code < 500:
        return Unavailable(f"The mail server put the {what} off ({code}).", code=f"smtp_{code}")
    return Refused(f"The mail server refused the {what} ({code}).", code=f"{what}_refused", remedy=remedy)


def login_refused(code: int) -> O2CError:
    if 400 <= code < 500:
        return Unavailable(f"The mail server put the login off ({code}).", code=f"smtp_{code}")
    return CredentialsRefused(
        f"The mail server refused the login ({code}).",
        code="smtp_login",
        remedy="Check O2C_SMTP_USERNAME and O2C_SMTP_PASSWORD, then run `o2c init` and `o2c doctor`.",
    )


def untrusted() -> O2CError:
    return ConfigurationError(
        "The mail server's certificate is not trusted.",
        code="smtp_certificate",
        remedy="Set O2C_SMTP_HOST to the name in its certificate, or add its authority to this machine's.",
    )


def not_offered() -> O2CError:
    return ConfigurationError(
        "The mail server offers no STARTTLS, or no login.",
        code="smtp_not_offered",
        remedy="Try O2C_SMTP_SECURITY=tls with port 465, and see whether it wants a username at all.",
    )
