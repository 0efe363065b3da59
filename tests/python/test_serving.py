"""The HTTP server, asked by a real client over loopback."""

from __future__ import annotations

import datetime
import http.client
import json
import socket
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
from conftest import ENGINE
from kerasbridge.data import attached
from kerasbridge.data.schema import Column, Schema
from kerasbridge.errors import ArgumentError, DataError
from kerasbridge.serving import ModelServer, answer
from kerasbridge.serving.requests import read_body, table_of


@pytest.fixture(scope="module")
def model():
    """Takes columns a and b; the two outputs are a and b."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.layers[0].set_weights([np.eye(2, dtype="float32")])
    schema = Schema.learn({"a": [1.0, 2.0], "b": [1, 5]})
    schema.target = Column("kind", "factor", ["early", "late"])
    attached.attach_schema(model, schema)
    return model


@pytest.fixture
def client(model):
    """client(method, path, body) -> (status, content); the server runs on a thread of its own."""
    server = ModelServer(model, port=0, max_body=2000, max_rows=5)
    thread = threading.Thread(target=server.run)
    thread.start()

    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        try:
            body = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    ask.server = server
    yield ask
    server.close()
    thread.join(10)
    assert not thread.is_alive()


def test_rows_by_column_name_in_any_order(client):
    status, content = client("POST", "/predict", {"rows": [{"b": 2, "a": 0.5}, {"a": 3, "b": 4}]})
    assert status == 200
    assert content == {"predictions": [[0.5, 2.0], [3.0, 4.0]], "levels": ["early", "late"]}
    # a bare list of rows is the same thing
    assert client("POST", "/predict", [{"a": 1, "b": 2}])[1]["predictions"] == [[1.0, 2.0]]


def test_classes_are_levels_and_extra_columns_are_noted(client):
    rows = [{"a": 1, "b": 2, "c": "x"}, {"a": 2, "b": 1, "c": "y"}]
    status, content = client("POST", "/predict", {"rows": rows, "type": "class"})
    assert status == 200 and content["predictions"] == ["late", "early"]
    assert "'c'" in content["notes"][0]


def test_arrays_for_a_model_of_arrays(client):
    status, content = client("POST", "/predict", {"inputs": [[1, 2], [3.5, 4]]})
    assert status == 200 and content["predictions"] == [[1.0, 2.0], [3.5, 4.0]]


def test_what_the_model_takes_is_told(client):
    status, content = client("GET", "/")
    assert status == 200
    assert [c["name"] for c in content["columns"]] == ["a", "b"]
    assert content["levels"] == ["early", "late"]
    assert content["inputs"][0]["shape"] == [None, 2]
    assert client("GET", "/health") == (200, {"status": "ok", "answered": 0})


@pytest.mark.parametrize(
    ("body", "said", "place"),
    [
        ({"rows": [{"a": 1}]}, "'b'", {"missing": ["b"]}),
        ({"rows": [{"a": 1, "b": 2}, {"a": None, "b": 2}]}, "'a'", {"column": "a", "row": 2}),
        ({"rows": [{"a": 1, "b": "two"}]}, "'b'", {"column": "b"}),
        ({"rows": [{"a": [1], "b": 2}]}, "list or an object", {"column": "a", "row": 1}),
        ({"rows": [3]}, "Row 1 is no object", {}),
        ({"rows": [{"a": 1, "b": 1}] * 6}, "6 rows were sent; at most 5", {}),
        ({"rows": [], "inputs": []}, "neither `rows` nor `inputs`", {}),
        ({"rows": [], "typ": "class"}, "unknown part 'typ'", {}),
        ({"rows": [], "type": "odds"}, "`type` must be one of", {}),
        ({"inputs": [[1, 2], [3]]}, "rows of equal length", {}),
        ({"inputs": [["a", "b"]]}, "numbers only", {}),
        ("{broken", "not JSON", {}),
        ('{"rows": [{"a": NaN, "b": 1}]}', "not JSON", {}),
    ],
)
def test_what_cannot_be_predicted_from_is_named(client, body, said, place):
    status, content = client("POST", "/predict", body)
    assert status == 400 and said in content["error"], content
    assert {key: content.get(key) for key in place} == place
    # and the server goes on
    assert client("POST", "/predict", [{"a": 1, "b": 2}])[0] == 200


def test_bodies_that_are_too_large_or_of_unknown_length(client):
    status, content = client("POST", "/predict", "x" * 2001)
    assert status == 413 and "at most 2,000" in content["error"]
    with socket.create_connection((client.server.host, client.server.port), timeout=10) as raw:
        raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 411 " in raw.recv(1000)
    assert client("GET", "/other")[0] == 404
    assert client("POST", "/other", {})[0] == 404
    assert client("DELETE", "/predict")[0] == 405


def test_a_body_of_many_megabytes_is_answered_not_cut_off(client):
    status, content = client("POST", "/predict", b"[" * 30_000_000)
    assert status == 413 and "30,000,000 bytes long" in content["error"]
    # a client that asks first, as curl does, is told before it sends
    with socket.create_connection((client.server.host, client.server.port), timeout=10) as raw:
        raw.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection((client.server.host, client.server.port), timeout=10) as raw:
        body = b'[{"a": 1, "b": 2}]'
        raw.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        assert raw.recv(1000).startswith(b"HTTP/1.1 100 ")
        raw.sendall(body)
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert client("POST", "/predict", [{"a": 1, "b": 2}])[0] == 200


def test_limits_are_whole_numbers(model):
    for more in ({"max_body": 0}, {"max_rows": -1}, {"max_rows": 2.5}):
        with pytest.raises(ArgumentError, match="whole number of at least 1") as caught:
            ModelServer(model, port=0, **more)
        assert caught.value.argument in more


def test_a_client_that_goes_away_does_no_harm(client):
    for part in (
        b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc",
        b"nonsense\r\n\r\n",
        b"",
    ):
        with socket.create_connection((client.server.host, client.server.port), timeout=10) as raw:
            raw.sendall(part)
    assert client("POST", "/predict", [{"a": 1, "b": 2}])[0] == 200


def test_many_clients_get_their_own_rows(client):
    results = {}

    def ask(number):
        results[number] = client("POST", "/predict", [{"a": number, "b": 0}])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {n: r[1]["predictions"][0][0] for n, r in results.items()} == {
        n: float(n) for n in range(20)
    }


def test_a_model_that_fails_gives_500_and_no_details():
    class Broken:
        name = "broken"
        inputs = None

        def predict(self, *args, **kwargs):
            raise OSError("secret path")

    server = ModelServer(Broken(), port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        connection.request("POST", "/predict", json.dumps({"inputs": [[1]]}))
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 500 and "secret" not in text
    finally:
        server.close()
        thread.join(10)


def test_requests_beyond_the_queue_and_without_an_answer_are_told(model):
    # nobody works on the queue here
    server = ModelServer(model, port=0, waiting=1, timeout=0.5)
    try:
        statuses = []

        def ask():
            connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
            connection.request("POST", "/predict", json.dumps([{"a": 1, "b": 2}]))
            statuses.append(connection.getresponse().status)
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        for thread in threads:
            thread.join(30)
        assert sorted(statuses) == [503, 504]
        # the one that was given up is not computed any more
        assert server.step() and server.count == 0
    finally:
        server.close()


def test_a_port_in_use_is_an_error_and_a_server_can_stop_by_itself(model):
    server = ModelServer(model, port=0)
    try:
        with pytest.raises(ArgumentError, match="can't be listened on") as caught:
            ModelServer(model, port=server.port)
        assert caught.value.argument == "port"
        started = time.monotonic()
        assert server.run(seconds=0.2) == 0
        assert time.monotonic() - started < 5
    finally:
        server.close()


def test_dates_come_as_text():
    schema = Schema([Column("day", "date"), Column("time", "datetime"), Column("size", "number")])
    table = table_of([{"day": "2024-05-31", "time": "2024-05-31T12:00:00Z", "size": 1}], schema)
    assert table["day"][0].item() == datetime.date(2024, 5, 31)
    assert table["time"][0].item() == datetime.datetime(2024, 5, 31, 12)
    with pytest.raises(DataError, match="'day' in row 2 is not a date") as caught:
        table_of([{"day": "2024-05-31"}, {"day": "tomorrow"}], schema)
    assert caught.value.details == {"column": "day", "row": 2}


def test_numbers_that_are_none_become_null(model):
    broken = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    broken.layers[0].set_weights([np.array([[np.nan]], dtype="float32")])
    assert answer(broken, read_body(b'{"inputs": [[1], [2]]}', 10))["predictions"] == [
        [None],
        [None],
    ]


def test_a_file_is_served_from_the_command_line(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    child = subprocess.Popen(
        [sys.executable, "-m", "kerasbridge.serving", str(path), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={
            "PYTHONPATH": str(ENGINE),
            "PATH": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": keras.config.backend(),
        },
    )
    try:
        line = child.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/predict", json.dumps({"inputs": [[1, 2]]}))
        content = json.loads(connection.getresponse().read())
        assert content["predictions"] == [[1.0, 2.0]]
        child.terminate()
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()
