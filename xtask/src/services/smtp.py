"""A mail server for tests. It requires AUTH PLAIN or LOGIN before MAIL, and discards every message."""

import asyncio
import hmac
import os

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def authenticate(server, session, envelope, mechanism, auth_data):
    password = os.environ["SMTP_PASSWORD"].encode()
    known = (
        isinstance(auth_data, LoginPassword)
        and auth_data.login == b"health"
        and hmac.compare_digest(auth_data.password, password)
    )
    return AuthResult(success=known, handled=False)


def session():
    return SMTP(
        Sink(),
        hostname="localhost",
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=False,
    )


async def main():
    server = await asyncio.get_running_loop().create_server(
        session, "127.0.0.1", int(os.environ["SMTP_PORT"])
    )
    await server.serve_forever()


asyncio.run(main())
