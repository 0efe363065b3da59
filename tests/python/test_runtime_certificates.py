"""Certificates that are refused, by a real server whose issuer nobody knows, and by a real pip."""

from __future__ import annotations

import base64
import contextlib
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request

import pytest
from conftest import ENGINE
from kerasbridge.environment import installers
from kerasbridge.errors import FileError, InstallError
from kerasbridge.runtime import certificates
from tiny_wheels import tiny_wheel

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")
WHO = "it was issued by Corporate Root \\(Example Inc\\), which this machine doesn't know"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with `ca.pem` and, signed by it, `server.pem` (certificate and key) for localhost."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments):
        subprocess.run(
            ["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60
        )

    key = ("-newkey", "rsa:2048", "-nodes")
    subject = ("-subj", "/O=Example Inc/CN=Corporate Root")
    # Python 3.13 insists on it
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")
    openssl(
        *("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30"),
        *(*subject, *usage),
    )
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    openssl(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-out", "server.crt", "-days", "30", "-extfile", "names"),
    )
    parts = [(folder / name).read_text() for name in ("server.crt", "server.key")]
    (folder / "server.pem").write_text("".join(parts))
    parts = [(folder / name).read_text() for name in ("ca.pem", "ca.key")]
    (folder / "self.pem").write_text("".join(parts))
    return folder


def _serve(folder, certificate):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            """A client that refuses the certificate goes away."""

    server = Server(("localhost", 0), Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def index(authority, tmp_path, monkeypatch):
    """A package index with one wheel, behind that certificate; gives its port. No proxy is set."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in certificates.VARIABLES:
            monkeypatch.delenv(name)
    place = tmp_path / "served" / "simple" / "keras"
    place.mkdir(parents=True)
    name = tiny_wheel(place, "keras", "3.15.1")
    (place / "index.html").write_text(f'<a href="{name}">{name}</a>')
    server = _serve(tmp_path / "served", authority / "server.pem")
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_the_issuer_is_named(index, authority, tmp_path):
    assert certificates.issuer("localhost", index) == "Corporate Root (Example Inc)"
    server = _serve(tmp_path, authority / "self.pem")
    assert certificates.issuer("localhost", server.server_address[1]) == "itself (Corporate Root)"
    server.shutdown()
    server.server_close()
    assert certificates.issuer("localhost", 9, timeout=2) is None


def test_the_issuer_is_asked_for_through_the_proxy(index, monkeypatch):
    """A proxy that opens a tunnel for whoever names himself."""
    asked = []
    listening = socket.create_server(("localhost", 0))

    def pump(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)

    def proxy():
        for _ in range(2):
            client, _ = listening.accept()
            asked.append(client.recv(65536).decode())
            onward = socket.create_connection(("localhost", index))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for pair in ((client, onward), (onward, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=proxy, daemon=True).start()
    address = f"http://anna:s%20t@localhost:{listening.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", address)
    assert certificates.issuer("files.example.org") == "Corporate Root (Example Inc)"
    assert asked[0].startswith("CONNECT files.example.org:443 HTTP/1.")
    assert base64.b64encode(b"anna:s t").decode() in asked[0]
    listening.close()


def test_pip_is_refused_with_the_issuer_and_let_in_by_one_variable(
    index, authority, tmp_path, monkeypatch
):
    monkeypatch.setenv("PIP_INDEX_URL", f"https://localhost:{index}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    wheels = tmp_path / "wheels"
    with pytest.raises(InstallError, match=f"certificate of localhost was.*{WHO}") as caught:
        installers.download(str(wheels), ["keras==3.15.1"], lambda line: None)
    assert "kerasbridge.ca_file" in caught.value.hint and "REQUESTS_CA_BUNDLE" in caught.value.hint
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        with monkeypatch.context() as inner:
            inner.setenv(name, str(authority / "ca.pem"))
            found = installers.download(str(wheels), ["keras==3.15.1"], lambda line: None)
        assert found == ["keras-3.15.1-py3-none-any.whl"]
        shutil.rmtree(wheels)


def test_downloads_of_python_read_the_same_file(index, authority):
    code = (
        "import os, urllib.request\n"
        "from kerasbridge.runtime import certificates\n"
        "os.environ.update(certificates.shared(os.environ))\n"
        f"print(urllib.request.urlopen('https://localhost:{index}/simple/keras/').status)\n"
    )
    for name in ("REQUESTS_CA_BUNDLE", "PIP_CERT"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ENGINE), name: str(authority / "ca.pem")},
        )
        assert done.stdout == "200\n", done.stderr


def test_a_data_set_whose_server_is_not_trusted(index, tmp_path, monkeypatch):
    pytest.importorskip("keras")
    from kerasbridge.data import datasets

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(
        datasets.FILES, "mnist.npz", (f"https://localhost:{index}/x.npz", "ab" * 32)
    )
    with pytest.raises(FileError, match=f"can't be downloaded from .*{WHO}") as caught:
        datasets.mnist()
    assert f"put the file at {tmp_path / 'datasets' / 'mnist.npz'}" in caught.value.hint
    assert f"SHA-256 sum is {'ab' * 32}" in caught.value.hint


def test_errors_of_any_download_name_the_issuer(index):
    pytest.importorskip("keras")
    from kerasbridge.bridge.outcome import describe

    address = f"https://localhost:{index}/weights.h5"
    try:
        urllib.request.urlopen(address, timeout=30)
    except OSError as error:
        # as keras.utils.get_file() wraps it
        told = describe(Exception(f"URL fetch failure on {address}: None -- {error.reason}"))
    assert told["kind"] == "install"
    assert (
        "certificate of localhost was not accepted: it was issued by Corporate" in told["message"]
    )


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, {}),
        ({"REQUESTS_CA_BUNDLE": "a"}, {"PIP_CERT": "a", "SSL_CERT_FILE": "a"}),
        ({"CURL_CA_BUNDLE": "b", "PIP_CERT": ""}, dict.fromkeys(certificates.VARIABLES[:3], "b")),
        (
            {"PIP_CERT": "a", "SSL_CERT_FILE": "b"},
            {"REQUESTS_CA_BUNDLE": "a"},
        ),
        (
            {"SSL_CERT_FILE": os.curdir},
            {"REQUESTS_CA_BUNDLE": ".", "PIP_CERT": ".", "SSL_CERT_DIR": "."},
        ),
    ],
)
def test_one_variable_serves_all(given, added):
    assert certificates.shared(given) == added


def test_the_server_is_read_from_what_is_said():
    pip = "HTTPSConnectionPool(host='pypi.example', port=8443): Max retries exceeded with url: /x"
    assert certificates.server(pip) == ("pypi.example", 8443)
    uv = "Failed to fetch: `https://index.example:444/simple/`\n invalid peer certificate"
    assert certificates.server(uv) == ("index.example", 444)
    assert certificates.server("URL fetch failure on https://a.example/x: None") == (
        "a.example",
        443,
    )
    assert certificates.server("nothing") == (None, 443)
    assert certificates.refused("something else") is None
    assert certificates.refused("CERTIFICATE_VERIFY_FAILED").startswith(
        "The certificate of the server was not accepted; a proxy"
    )
