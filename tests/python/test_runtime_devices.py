"""Settings of devices, CUDA's libraries, memory and what is said when it runs out: without a card."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import sys
import types

import numpy as np
import pytest
from kerasbridge.environment import graphics, settings
from kerasbridge.errors import (
    ArgumentError,
    NoDeviceError,
    OutOfMemoryError,
    TooLateError,
)
from kerasbridge.runtime import device_settings, devices, exhausted, memory, nvidia


@pytest.fixture
def fresh(monkeypatch):
    """Settings as in a process in which nothing has started."""
    monkeypatch.setattr(device_settings, "wishes", device_settings.Wishes())
    monkeypatch.setattr(device_settings, "_started", [])
    monkeypatch.setattr(device_settings, "_before", [])
    monkeypatch.setattr(device_settings, "_share", {})
    monkeypatch.setattr(device_settings, "sys", types.SimpleNamespace(modules={}))
    for name in (
        "CUDA_VISIBLE_DEVICES",
        "XLA_FLAGS",
        "TF_FORCE_GPU_ALLOW_GROWTH",
        "XLA_PYTHON_CLIENT_MEM_FRACTION",
    ):
        monkeypatch.delenv(name, raising=False)
    return device_settings


def fake_tensorflow(cards=2, started=False):
    """What of `tensorflow.config` is used, with so many cards; records what is set."""
    done = []

    def setter(name):
        def set_it(*arguments):
            if started:
                raise RuntimeError("Physical devices cannot be modified after being initialized")
            done.append((name, *arguments))

        return set_it

    config = types.SimpleNamespace(
        list_physical_devices=lambda kind: [
            f"{kind}:{i}" for i in range(cards if kind == "GPU" else 1)
        ],
        set_visible_devices=setter("visible"),
        set_logical_device_configuration=setter("logical"),
        LogicalDeviceConfiguration=lambda memory_limit=None: memory_limit,
        experimental=types.SimpleNamespace(set_memory_growth=setter("growth")),
    )
    return types.SimpleNamespace(config=config), done


def test_amounts_of_memory():
    assert device_settings.bytes_of("4GB") == 4_000_000_000
    assert device_settings.bytes_of(" 1.5 gib") == 1_610_612_736
    assert device_settings.bytes_of(512) == 512
    for wrong in ("four", "-1GB", "0", True, "4XB", ""):
        with pytest.raises(ArgumentError, match="amount such as '4GB'"):
            device_settings.bytes_of(wrong)


def test_settings_reach_tensorflow_before_it_computes(fresh):
    fresh.configure(memory="grow")
    tf, done = fake_tensorflow()
    fresh.apply_tensorflow(tf)
    assert done == [("growth", "GPU:0", True), ("growth", "GPU:1", True)]
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    fresh.configure(memory="1GiB")
    tf, done = fake_tensorflow(cards=1)
    fresh.apply_tensorflow(tf)
    assert done == [("logical", "GPU:0", [1024.0])]
    fresh.configure(visible=[])
    tf, done = fake_tensorflow()
    fresh.apply_tensorflow(tf)
    assert done == [("visible", [], "GPU")] and os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    fresh.configure(virtual=3)
    assert "--xla_force_host_platform_device_count=3" in os.environ["XLA_FLAGS"]
    tf, done = fake_tensorflow(started=True)
    with pytest.raises(TooLateError, match="started by code outside of this package"):
        fresh.apply_tensorflow(tf)


def test_cards_are_counted_among_those_that_are_shown(fresh, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    fresh.configure(visible=[0, 2])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,7"
    fresh.configure(visible=[1])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    with pytest.raises(ArgumentError, match="names card 4; CUDA_VISIBLE_DEVICES shows 3"):
        fresh.configure(visible=[3])
    assert fresh.as_values() == {"visible": [1]}  # what was refused is not kept


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"visible": [0, 0]}, "each once"),
        ({"visible": [-1]}, "positions"),
        ({"virtual": 0}, "from 1 to 64"),
        ({"precision": "int8"}, "must be one of float32"),
    ],
)
def test_settings_that_can_not_be(fresh, given, said):
    with pytest.raises(ArgumentError, match=said):
        fresh.configure(**given)
    assert fresh.as_values() == {}


def test_too_late_names_what_started_the_backend(fresh):
    fresh._started[:] = ["jax", "fit()"]
    with pytest.raises(TooLateError, match=r"JAX was started by fit\(\)") as caught:
        fresh.configure(memory="2GB", virtual=2)
    assert caught.value.details == {
        "started_by": "fit()", "backend": "jax", "settings": ["memory", "virtual"],
    }  # fmt: skip
    assert fresh.as_values() == {}


def fake_smi(folder, *sizes):
    """An nvidia-smi that lists cards of these sizes in MiB."""
    program = folder / "nvidia-smi"
    lines = "".join(
        f"echo '550.54.14, Card {i}, {size} MiB, 1 MiB, 9.0'\n" for i, size in enumerate(sizes)
    )
    program.write_text(f"#!/bin/sh\n{lines}")
    program.chmod(0o755)
    return str(folder)


def test_a_limit_is_a_share_of_the_largest_card_for_jax(fresh, monkeypatch, tmp_path):
    fresh.configure(memory="2GiB")
    here = {"PATH": fake_smi(tmp_path, 4096, 8192)}
    fresh.set_variables(here)
    assert here["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.250000"
    nowhere = {"PATH": str(tmp_path / "none")}
    fresh.set_variables(nowhere)
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in nowhere  # no card: nothing to limit
    other = {"PATH": here["PATH"], "KERAS_BACKEND": "torch"}
    fresh.set_variables(other)
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in other


def test_a_limit_that_counts_no_more_leaves_nothing_behind(fresh, tmp_path):
    fresh.configure(memory="2GiB")
    here = {"PATH": fake_smi(tmp_path, 8192)}
    fresh.set_variables(here)
    (tmp_path / "nvidia-smi").unlink()
    fresh.set_variables(here)  # asked once
    assert here["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.250000"
    fresh.configure(memory="grow")
    fresh.set_variables(here)
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in here
    assert here["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    own = {"PATH": "", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}
    fresh.set_variables(own)
    assert own["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.5"  # a person's


@pytest.mark.parametrize(
    ("disable", "said"), [(True, "in use already"), (False, "may give other numbers")]
)
def test_a_card_that_computes_already_is_told(disable, said, monkeypatch):
    from kerasbridge.runtime import determinism

    keras = types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setattr(determinism, "start", lambda: keras)
    monkeypatch.setattr(determinism, "set_random_seed", lambda seed: seed)
    monkeypatch.setattr(determinism, "_on", False)
    monkeypatch.setattr(determinism.os, "environ", {})
    monkeypatch.setattr(determinism.device_settings, "_started", ["jax", "fit()"])
    monkeypatch.setattr(determinism.devices, "running", lambda kind: [{"device": "GPU:0"}])
    (found,) = determinism.deterministic(1, disable_gpu=disable)
    assert said in found


@pytest.mark.parametrize(("held", "late"), [(2 * 2**30, False), (6 * 2**30, True)])
def test_a_limit_for_jax_comes_too_late_when_it_holds_more(fresh, monkeypatch, held, late):
    card = types.SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": held})
    processor = types.SimpleNamespace(platform="cpu")
    module = types.SimpleNamespace(local_devices=lambda: [processor, card])
    monkeypatch.setitem(sys.modules, "jax", module)
    monkeypatch.setattr(
        fresh, "_apply_any_time", lambda: None
    )  # it imports Keras, which looks at JAX
    fresh.configure(memory="2GiB")
    if late:
        with pytest.raises(TooLateError, match="JAX has taken its share"):
            fresh.after_import("jax", "fit()", outside=True)
    else:
        fresh.after_import("jax", "fit()", outside=True)
    assert fresh.started_by() == "fit()"


def test_xla_is_the_default_of_compile(fresh):
    import keras
    from kerasbridge import training

    made = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    for xla in (True, False):
        fresh.configure(xla=xla)
        training.compile(made, loss="mse")
        assert made.jit_compile is xla
        training.compile(made, loss="mse", jit_compile=not xla)
        assert made.jit_compile is not xla


def test_hidden_cards_and_who_started_in_a_process_of_its_own(run_python):
    done = run_python(
        "from kerasbridge.runtime import device_settings as s, start\n"
        "import sys\n"
        "s.configure(visible=[], memory='grow', precision='mixed_bfloat16')\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "keras = start(by='layer_dense()')\n"
        "print(keras.config.dtype_policy().name, s.started_by())\n"
        "s.configure(xla=False)\n"
        "try:\n    s.configure(memory='3GB')\nexcept Exception as e:\n    print(type(e).__name__, e.message)"
    )
    assert done.stdout.splitlines()[0] == "mixed_bfloat16 layer_dense()", done.stderr
    assert "TooLateError `memory` can't be set any more" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="libraries of Linux")
def test_libraries_of_the_environment_are_loaded_without_a_path(tmp_path, run_python):
    real = ctypes.util.find_library("z") or ctypes.util.find_library("m")
    source = next(
        os.path.join(folder, real)
        for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64")
        if os.path.exists(os.path.join(folder, real))
    )
    for name, file in (("cudnn", "libcudnn.so.9"), ("cuda_runtime", "libcudart.so.12")):
        folder = tmp_path / "nvidia" / name / "lib"
        folder.mkdir(parents=True)
        shutil.copy(source, folder / file)
    (tmp_path / "nvidia" / "cudnn" / "lib" / "libcudnn_odd.so.9").write_bytes(b"no library")
    tools = tmp_path / "nvidia" / "cuda_nvcc"
    (tools / "bin").mkdir(parents=True)
    (tools / "nvvm" / "libdevice").mkdir(parents=True)
    found = nvidia.libraries([str(tmp_path)])
    assert [os.path.basename(one) for one in found] == [
        "libcudart.so.12", "libcudnn.so.9", "libcudnn_odd.so.9",
    ]  # fmt: skip
    code = (
        f"from kerasbridge.runtime import nvidia\n"
        f"done = nvidia.load(nvidia.libraries([{str(tmp_path)!r}]))\n"
        "maps = open('/proc/self/maps').read()\n"
        "print(len(done), 'libcudart.so.12' in maps, 'libcudnn.so.9' in maps)"
    )
    assert run_python(code).stdout.strip() == "2 True True"
    changed = nvidia.compiler_variables([str(tmp_path)], {"PATH": "/bin", "XLA_FLAGS": "--a=1"})
    assert changed == {
        "PATH": f"/bin:{tools}/bin", "XLA_FLAGS": f"--a=1 --xla_gpu_cuda_data_dir={tools}",
    }  # fmt: skip
    driver = tmp_path / "version"
    assert not nvidia.wanted({}, [str(driver)])
    driver.write_text("570")
    assert nvidia.wanted({}, [str(driver)])
    assert not nvidia.wanted({"CUDA_VISIBLE_DEVICES": "-1"}, [str(driver)])


# what the libraries themselves have written: TensorFlow 2.21, JAX 0.6, PyTorch 2.x, NumPy 1.26
TEXTS = [
    (
        "OOM when allocating tensor with shape[64,2048,7,7] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc",
        {
            "shape": [64, 2048, 7, 7],
            "dtype": "float",
            "wanted": 64 * 2048 * 49 * 4,
            "device": "GPU:1",
        },
    ),
    (
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4000000000 bytes.",
        {"wanted": 4_000_000_000, "shape": None, "device": "CPU"},
    ),
    (
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.15 GiB of "
        "which 1.50 GiB is free. Process 1 has 77 GiB memory in use.",
        {"wanted": 20 * 2**30, "free": int(1.5 * 2**30), "device": "GPU:0"},
    ),
    (
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
        {"wanted": 4_000_000_000_000, "device": "CPU"},
    ),
    (
        "Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000) and data type float64",
        {"shape": [1000000, 1000000], "dtype": "float64", "wanted": int(7.28 * 2**40)},
    ),
]


@pytest.mark.parametrize(("text", "facts"), TEXTS)
def test_what_an_error_says_of_memory(text, facts):
    found = exhausted.of(RuntimeError(text))
    for name, value in facts.items():
        assert getattr(found, name) == value, name
    assert exhausted.of(ValueError("batch of shape (2, 3)")) is None
    outer = ValueError("while calling a layer")
    outer.__cause__ = RuntimeError(text)
    assert exhausted.of(outer) == exhausted.read(text) or exhausted.of(outer).wanted == found.wanted


@pytest.mark.parametrize(
    ("text", "device"),
    [(TEXTS[1][0], "GPU:0"), (TEXTS[3][0], "CPU"), (TEXTS[4][0], "CPU"), ("", "CPU")],
)
def test_memory_of_xla_is_that_of_the_card_where_there_is_one(text, device, monkeypatch):
    monkeypatch.setattr(exhausted.devices, "running", lambda kind: [{"device": "GPU:0"}])
    assert exhausted.read(text).device == device


def test_the_error_for_a_person():
    error = exhausted.as_error(exhausted.read(TEXTS[0][0]), 64, "fit")
    assert isinstance(error, OutOfMemoryError) and error.argument == "batch_size"
    assert (
        "The memory of GPU:1 ran out: a float tensor of shape (64, 2048, 7, 7), 25.7 MB,"
        in error.message
    )
    assert "(batch_size = 64)" in error.message and "batch_size = 32" in error.hint
    assert error.details["proposed_batch_size"] == 32 and error.details["bytes_wanted"] == 25690112
    assert exhausted.of(error) is None  # not said twice


def test_a_real_one_of_numpy_becomes_a_condition():
    from kerasbridge.bridge.outcome import describe

    with pytest.raises(MemoryError) as caught:
        np.ones((10**7, 10**8))
    found = describe(caught.value)
    assert found["kind"] == "oom" and found["details"]["shape"] == [10**7, 10**8]
    assert type(found["details"]["bytes_wanted"]) is float  # beyond the integers of R
    assert found["details"]["bytes_free"] > 0 and "ran out" in found["message"]
    assert found["type"].endswith("MemoryError") and "Unable to allocate" in found["traceback"]


def test_bytes_beyond_the_integers_of_r_cross_as_doubles():
    from kerasbridge.bridge.outcome import outcome

    rows = [{"limit": 2**40, "small": 7, "none": None, "parts": [2**33, "text"]}]
    found = outcome(lambda: rows)().value
    assert found == [
        {"limit": float(2**40), "small": 7, "none": None, "parts": [float(2**33), "text"]}
    ]
    assert type(found[0]["limit"]) is float and type(found[0]["small"]) is int


def test_memory_of_the_process():
    block = np.ones(40_000_000 // 8)
    (row, *_) = memory.usage(reset=True)
    assert row["device"] == "CPU" and row["current"] > block.nbytes
    assert row["peak"] >= row["current"] and row["limit"] > row["current"]
    assert memory.free_bytes() > 0


def test_names_of_devices():
    for name in ("/gpu:1", "GPU:1", "/device:GPU:1", "cuda:1"):
        assert devices.standard_name(name) == "gpu:1"
    assert devices.standard_name("cpu") == "cpu:0"
    with pytest.raises(ArgumentError, match="name such as 'gpu:0'"):
        devices.standard_name("card 1")


# ---- which cards there are -------------------------------------------------------------------------
CARDS = [{"name": f"card {i}", "memory_total": f"{i + 1}024 MiB"} for i in range(3)]


def test_cards_that_are_shown(monkeypatch):
    def status(found=True, visible=None):
        return lambda: {
            "found": found, "devices": CARDS, "visible": visible, "message": "m.", "fix": "f",
            "reason": "cpu_wheel",
        }  # fmt: skip

    monkeypatch.setattr(graphics, "status", status())
    assert [card["device"] for card in graphics.cards()] == ["GPU:0", "GPU:1", "GPU:2"]
    assert graphics.cards()[1]["memory"] == 2024 * 2**20
    graphics.require()
    monkeypatch.setattr(graphics, "status", status(visible="2,0,9,1"))
    assert [card["name"] for card in graphics.cards()] == ["card 2", "card 0"]
    monkeypatch.setattr(graphics, "status", status(found=False))
    assert graphics.cards() == []
    with pytest.raises(NoDeviceError, match="No graphics card can be used: m") as caught:
        graphics.require()
    assert caught.value.hint == "f" and caught.value.details == {"reason": "cpu_wheel"}


def test_a_backend_that_runs_without_its_card(monkeypatch):
    facts = graphics.Facts(
        wheel="tensorflow",
        version="2.21.0",
        driver="570.86.10",
        devices=CARDS,
        smi="/bin/nvidia-smi",
    )
    monkeypatch.setattr(graphics, "gather", lambda *arguments: facts)
    tf = types.ModuleType("tensorflow")
    tf.config = types.SimpleNamespace(get_visible_devices=lambda kind: [])
    monkeypatch.setitem(sys.modules, "tensorflow", tf)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    found = graphics.status()
    assert (found["found"], found["reason"]) == (False, "not_seen")
    assert (
        "the running TensorFlow uses no card" in found["message"] and "new session" in found["fix"]
    )
    tf.config.get_visible_devices = lambda kind: ["GPU:0"]
    assert graphics.status()["found"] is True


def test_the_driver_is_mended_by_a_command_of_the_system():
    old = dict(wheel="tensorflow", driver="470.57.02", devices=CARDS, smi="x")
    for name, command in (
        ("ubuntu debian", "sudo ubuntu-drivers install"),
        ("debian", "apt-get install nvidia-driver"),
        ("fedora", "dnf upgrade"),
        ("", "nvidia.com/drivers"),
    ):
        verdict = graphics.judge(graphics.Facts(**old, distribution=name))
        assert verdict.reason == "driver" and command in verdict.fix
    missing = graphics.judge(
        graphics.Facts(
            wheel="tensorflow", driver="570.1", devices=CARDS, libraries={"libcudnn.so.9": None},
            searched=["/a", "/b"],
        )
    )  # fmt: skip
    assert "libcudnn.so.9 (looked in /a, /b)" in missing.message
    torch = graphics.judge(
        graphics.Facts(backend="torch", wheel="torch-cpu", driver="570.1", devices=CARDS)
    )
    assert torch.reason == "cpu_wheel"


def test_where_the_backend_comes_from(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch", "floatx": "float64"}')
    found = settings.origins({"KERAS_HOME": str(tmp_path)})
    assert (found["backend"], found["source"]) == ("torch", str(tmp_path / "keras.json"))
    assert found["home_source"] == "the environment variable KERAS_HOME" and found["file_there"]
    found = settings.origins({"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"})
    assert found["backend"] == "jax" and "KERAS_BACKEND wins" in found["overruled"][0]
    assert settings.origins({"HOME": str(tmp_path / "none")})["file_there"] is False


def test_a_backend_that_ended_is_refused_with_the_file_that_asks_for_it(tmp_path, run_python):
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    code = (
        "from kerasbridge import bridge\nfound = bridge.start()\n"
        "print(found.error['kind'], found.error['message'], found.error['hint'])\n"
        "import sys; print('keras' in sys.modules)"
    )
    done = run_python(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    first, second = done.stdout.splitlines()
    assert first.startswith("unsupported Theano ended in 2017") and second == "False"
    assert f"{tmp_path / 'keras.json'} asks for it. Use backend" in first
