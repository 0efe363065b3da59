"""An HTTP server for one model.

Threads read and answer requests; the model is called on the thread that called `run()` alone, one
request after the other, so that a model with layers of another language works too, and that thread waits
in short steps that Ctrl-C ends.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Optional

from kerasbridge import __version__
from kerasbridge.errors import ArgumentError, KerasBridgeError
from kerasbridge.serving import requests

_STEP = 0.1  # seconds that the waiting thread waits at a time
_SLOW = 10.0  # seconds that a client may take for a line or a piece of its request
_REST = 64_000_000  # bytes of a body that was refused that are read, and dropped, at most
# details of an error that a client can use
_PLACES = ("column", "columns", "missing", "row")


class _Job:
    """A request on its way to the model and back."""

    def __init__(self, request: dict):
        self.request = request
        self.done = threading.Event()
        self.result: Optional[dict] = None
        self.error: Optional[BaseException] = None
        self.given_up = False


class ModelServer:
    """Serves `POST /predict`, `GET /` (what the model takes) and `GET /health`.

    Args:
        model: a Keras model, or anything `kerasbridge.training.predict` takes.
        host: address to listen on; only this machine can reach the default.
        port: 0 takes a free one, see `port`.
        max_body: bytes of a request's body at most.
        max_rows: rows of a request at most.
        waiting: requests that may wait for the model; more are told to come back.
        timeout: seconds a request may wait and be worked on.

    Raises:
        ArgumentError: the port is in use, or the address is not one of this machine.
    """

    def __init__(
        self,
        model: Any,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        max_body: int = 1_000_000,
        max_rows: int = 10_000,
        waiting: int = 32,
        timeout: float = 60.0,
    ):
        self.model = model
        for name, value, least in (("max_body", max_body, 1), ("max_rows", max_rows, 1)):
            if value != int(value) or value < least:
                raise ArgumentError(
                    f"`{name}` must be a whole number of at least {least}, not {value!r}.",
                    argument=name,
                )
        self.max_body, self.max_rows, self.timeout = int(max_body), int(max_rows), timeout
        self.count = 0
        self._jobs: queue.Queue = queue.Queue(maxsize=waiting)
        self._closed = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        try:
            self._http = _Server((host, port), handler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(
                f"The address {host}:{port} can't be listened on: {error}",
                hint="Choose another `port`; 0 takes a free one.",
                argument="port",
            ) from error
        self.host, self.port = self._http.server_address[:2]
        self.url = f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(_STEP,), daemon=True)
        self._thread.start()

    def run(
        self, stop: Optional[Callable[[], bool]] = None, seconds: Optional[float] = None
    ) -> int:
        """Answer requests on this thread until Ctrl-C, `stop()` is true, or `seconds` have passed.

        Returns:
            How many predictions were answered.
        """
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while not self._closed.is_set():
                self.step(_STEP)
                if (stop is not None and stop()) or (end is not None and time.monotonic() > end):
                    break
        except KeyboardInterrupt:
            pass
        finally:
            self.close()
        return self.count

    def step(self, wait: float = 0.0) -> bool:
        """Answer one request if there is one within `wait` seconds; says whether there was."""
        try:
            job = self._jobs.get(timeout=wait) if wait > 0 else self._jobs.get_nowait()
        except queue.Empty:
            return False
        if job.given_up:
            return True
        try:
            job.result = requests.answer(self.model, job.request)
            self.count += 1
        except KeyboardInterrupt as error:
            job.error = RuntimeError("The server was stopped.")
            raise error
        except Exception as error:
            job.error = error
        finally:
            job.done.set()
        return True

    def close(self) -> None:
        """Stop listening; requests that wait are told so. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                job.error = RuntimeError("The server was stopped.")
                job.done.set()

    def submit(self, request: dict) -> _Job:
        """Put a request into the queue and wait for its end. Called by the threads of clients.

        Raises:
            queue.Full: too many wait already.
            TimeoutError: no answer within `timeout`.
        """
        job = _Job(request)
        self._jobs.put_nowait(job)
        if not job.done.wait(self.timeout):
            job.given_up = True
            raise TimeoutError
        return job


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple, handler: type):
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event."""


class _Handler(BaseHTTPRequestHandler):
    owner: ModelServer
    protocol_version = "HTTP/1.1"
    server_version = f"kerasbridge/{__version__}"
    sys_version = ""
    timeout = _SLOW

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(200, {"status": "ok", "answered": self.owner.count})
        elif self.path == "/":
            self._send(200, requests.describe(self.owner.model))
        else:
            self._refuse(404, "There is no such page.", "GET /, GET /health and POST /predict are.")

    def do_POST(self) -> None:
        if self.path != "/predict":
            self._refuse(404, "There is no such page.", "Post to /predict.")
            return
        body = self._body()
        if body is None:
            return
        try:
            request = requests.read_body(body, self.owner.max_rows)
            job = self.owner.submit(request)
        except KerasBridgeError as error:
            self._explain(error)
        except queue.Full:
            self._refuse(503, "Too many requests wait already.", "Try again in a moment.")
        except TimeoutError:
            self._refuse(504, f"There was no answer within {self.owner.timeout:g} seconds.")
        else:
            if job.error is None:
                self._send(200, job.result)
            else:
                self._explain(job.error)

    def do_PUT(self) -> None:
        self._refuse(405, "Only GET and POST are answered.")

    do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_PUT

    def handle_expect_100(self) -> bool:
        """A client that asks before it sends (curl does) is refused before it sends."""
        return self._length() is not None and super().handle_expect_100()

    def _length(self) -> Optional[int]:
        """Bytes of the body, or None after an answer that refuses it."""
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit():
            self._refuse(411, "The request does not say how long its body is.")
            return None
        if int(length) > self.owner.max_body:
            self._refuse(
                413,
                f"The body is {int(length):,} bytes long; at most {self.owner.max_body:,} are read.",
                "Send fewer rows at a time.",
            )
            return None
        return int(length)

    def _body(self) -> Optional[bytes]:
        """The body, or None after an answer that refuses it; never more than the limit is kept."""
        length = self._length()
        if length is None:
            self._drop()
            return None
        try:
            body = self.rfile.read(length)
        except (TimeoutError, OSError):
            self.close_connection = True
            return None
        if len(body) < length:
            self.close_connection = True
            return None
        return body

    def _drop(self) -> None:
        """Read the rest of a refused body: a client that is still sending would else see a broken
        connection in place of the answer."""
        end = time.monotonic() + _SLOW
        left = _REST
        with contextlib.suppress(TimeoutError, OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and time.monotonic() < end:
                piece = self.rfile.read1(min(left, 65536))
                if not piece:
                    break
                left -= len(piece)

    def _explain(self, error: BaseException) -> None:
        """400 for what the client can mend, 500 without details for everything else."""
        if isinstance(error, KerasBridgeError) and error.kind in ("data", "argument"):
            extra = {k: v for k, v in error.details.items() if k in _PLACES}
            self._send(
                400,
                {"error": error.message, **({"hint": error.hint} if error.hint else {}), **extra},
            )
        elif isinstance(error, RuntimeError) and str(error) == "The server was stopped.":
            self._refuse(503, str(error))
        else:
            self._refuse(500, f"The model failed ({type(error).__name__}).")

    def _refuse(self, status: int, message: str, hint: Optional[str] = None) -> None:
        # what was sent and not read would be taken for the next request
        self.close_connection = True
        self._send(status, {"error": message, **({"hint": hint} if hint else {})})

    def _send(self, status: int, content: Optional[dict]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed: another language may own the console, and this is another thread."""
