"""A token for who has a password: log in as a browser does, make the token, log out."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from deployer.client.errors import ApiError, ClientError
from deployer.client.records import Document
from deployer.client.requests import API, Address, new_id
from deployer.client.transport import Transport

TIMEOUT_S: Final = 45.0
PATIENCE_S: Final = 3.0


class NotLoggedIn(ApiError):  # noqa: N818 (it says what it is)
    """The master takes no such user with this password."""

    is_of_token = False


def token_by_password(
    url: str, ca_file: str | None, who: Mapping[str, str], password: str, wanted: Mapping[str, Any]
) -> Document:
    """The token that `wanted` describes, with its text. `who`: `user`, and `company` where it is not the default one.

    ClientError before anything is sent when the password would go over the network in the clear; else as any request.
    """
    address = Address.read(url)
    if not (address.secure or _is_loopback(address.host)):
        raise ClientError(f"{url} would carry the password in the clear: use https://, or a token from a file")
    transport = Transport(url, "", ca_file, timeout_s=TIMEOUT_S, patience_s=PATIENCE_S)
    try:
        try:
            headers, session = transport.exchange("POST", f"{API}/session", body={**who, "password": password})
        except ApiError as error:
            raise NotLoggedIn(error.status, error.code, error.detail, error.errors) from error
        cookie = str(headers.get("Set-Cookie", "")).partition(";")[0]
        proof = {"Cookie": cookie, "X-CSRF-Token": str(session.get("csrf_token", ""))}
        try:
            keyed = {**proof, "Idempotency-Key": new_id()}
            made: Document = transport.ask("POST", f"{API}/tokens", body=dict(wanted), headers=keyed)
        finally:
            transport.ask("DELETE", f"{API}/session", headers=proof)
    finally:
        transport.close()
    return made


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
