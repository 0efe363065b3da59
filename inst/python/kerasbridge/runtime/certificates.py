"""Certificates: one file for everything that downloads, and who issued the one that was refused.

pip, uv and Python's own downloads each read another variable for an organisation's certificates;
`shared()` makes one name enough. A proxy that opens connections shows certificates of its own:
`refused()` says whose. Standard library only.
"""

from __future__ import annotations

import base64
import http.client
import os
import re
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Dict, Mapping, Optional, Tuple

if TYPE_CHECKING:
    import ssl

# the variables of requests and pip, of pip, of OpenSSL and uv, of curl
VARIABLES = ("REQUESTS_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE", "CURL_CA_BUNDLE")

_SIGNS = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|self[- ]signed certificate|unable to get local issuer|"
    r"invalid peer certificate",
    re.IGNORECASE,
)
# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN and X509_V_FLAG_NO_CHECK_TIME
_ANY_CHAIN = 0x80000 | 0x200000

HINT = (
    'Name your organisation\'s certificate file: options(kerasbridge.ca_file = "file.pem") in R, '
    "or the environment variable REQUESTS_CA_BUNDLE."
)


def shared(environ: Mapping[str, str]) -> Dict[str, str]:
    """The variables that are not set yet, with the file (or folder) that one of them names."""
    named = next((environ[name] for name in VARIABLES if environ.get(name)), None)
    if named is None:
        return {}
    if os.path.isdir(named):  # OpenSSL has a variable of its own for folders
        wanted = {"REQUESTS_CA_BUNDLE": named, "PIP_CERT": named, "SSL_CERT_DIR": named}
    else:
        wanted = {name: named for name in VARIABLES[:3]}
    return {name: place for name, place in wanted.items() if not environ.get(name)}


def refused(text: str, timeout: float = 5.0) -> Optional[str]:
    """What to say where `text` tells of a certificate that was not accepted, None where it doesn't.

    The server that the text names is asked for its certificate once more, to name the issuer.
    """
    if not _SIGNS.search(text):
        return None
    host, port = server(text)
    who = issuer(host, port, timeout) if host else None
    said = f"The certificate of {host or 'the server'} was not accepted"
    if who is not None:
        said += f": it was issued by {who}, which this machine doesn't know"
    return f"{said}; a proxy that opens connections does that."


def server(text: str) -> Tuple[Optional[str], int]:
    """(host, port) of the server that an error's text names, (None, 443) where it names none."""
    found = re.search(r"host='([^']+)', port=(\d+)", text)
    if found:
        return found.group(1), int(found.group(2))
    found = re.search(r"https://[^\s'\"`)<>]+", text)
    if found is None:
        return None, 443
    parts = urllib.parse.urlsplit(found.group())
    try:
        return parts.hostname, parts.port or 443
    except ValueError:
        return parts.hostname, 443


def issuer(host: str, port: int = 443, timeout: float = 5.0) -> Optional[str]:
    """Who issued the certificate that a server shows, such as "Corporate Root CA (Example Inc)".

    It goes through the proxy of HTTPS_PROXY, as the download did. None where that can't be told.
    """
    try:
        import ssl
    except ImportError:  # a Python without it has downloaded nothing
        return None
    anything = ssl.create_default_context()
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    try:
        raw, _ = _shown(host, port, anything, timeout)
        # Python takes certificates apart only where they are accepted: this one alone now is
        known = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        known.check_hostname = False
        known.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(raw))
        known.verify_flags |= _ANY_CHAIN
        _, content = _shown(host, port, known, timeout)
    except (OSError, ValueError, http.client.HTTPException):
        return None
    names = {key: value for part in content.get("issuer", ()) for key, value in part}
    name, organisation = names.get("commonName"), names.get("organizationName")
    if content.get("issuer") == content.get("subject"):
        return f"itself ({name or organisation})" if name or organisation else "itself"
    if name and organisation and name != organisation:
        return f"{name} ({organisation})"
    return name or organisation


def _shown(host: str, port: int, context: ssl.SSLContext, timeout: float) -> Tuple[bytes, dict]:
    """The certificate that a server shows: its bytes, and its parts where the context accepts it."""
    connection = _connection(host, port, context, timeout)
    try:
        connection.connect()
        shown = connection.sock
        return shown.getpeercert(binary_form=True) or b"", shown.getpeercert() or {}
    finally:
        connection.close()


def _connection(
    host: str, port: int, context: ssl.SSLContext, timeout: float
) -> http.client.HTTPSConnection:
    """To the server, or through the proxy that the environment names for it."""
    proxies = {} if urllib.request.proxy_bypass(host) else urllib.request.getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy:
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 8080, timeout=timeout, context=context
    )
    headers = {}
    if parts.username:
        secret = f"{parts.username}:{parts.password or ''}"
        secret = base64.b64encode(urllib.parse.unquote(secret).encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {secret}"
    connection.set_tunnel(host, port, headers)
    return connection
