"""Why a graphics card is not used: each case decided from made-up facts, and gathered from stubs."""

from __future__ import annotations

import os
import stat
import sys

import pytest
from kerasbridge.environment import graphics, versions
from kerasbridge.environment.graphics import Facts, judge

CARD = [{"name": "NVIDIA H100", "memory_total": "80 GB", "memory_free": "79 GB"}]


def facts(**changes):
    """A machine with a card that can be used, with changes."""
    usual = dict(
        wheel="tensorflow",
        version="2.21.0",
        driver="570.86.10",
        devices=CARD,
        smi="/usr/bin/nvidia-smi",
        libraries={"libcudnn.so.9": "/x/libcudnn.so.9"},
    )
    return Facts(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({}, "found", "NVIDIA H100 (driver 570.86.10)"),
        ({"wheel": "tensorflow-cpu"}, "cpu_wheel", "installed tensorflow-cpu is the build without"),
        ({"backend": "jax", "wheel": "jax-cpu"}, "cpu_wheel", "jax-cpu"),
        ({"wheel": None}, "no_backend", "TensorFlow is not installed"),
        ({"backend": "openvino", "wheel": None}, "no_nvidia", "openvino uses no card of NVIDIA's"),
        ({"visible": ""}, "hidden", 'CUDA_VISIBLE_DEVICES is ""'),
        ({"visible": "-1"}, "hidden", 'CUDA_VISIBLE_DEVICES is "-1"'),
        ({"visible": "0,1"}, "found", "H100"),
        ({"driver": "470.57.02"}, "driver", "driver 470.57.02 is too old: CUDA 12 needs 525.60.13"),
        ({"driver": None, "devices": [], "smi": None}, "no_driver", "No NVIDIA driver"),
        ({"devices": []}, "no_device", "driver 570.86.10 is there, and it shows no device"),
        ({"libraries": {"libcudnn.so.9": None}}, "library", "not found: libcudnn.so.9"),
        ({"system": "Windows"}, "windows_native", "only inside WSL2"),
        ({"system": "Darwin"}, "no_macos_gpu", "no graphics card of a Mac"),
        ({"system": "Darwin", "metal": True}, "no_macos_gpu", "tensorflow-metal is installed"),
    ],
)
def test_each_reason(changes, reason, said):
    verdict = judge(facts(**changes))
    assert verdict.reason == reason and said in verdict.message
    assert verdict.found == (reason == "found")
    assert verdict.found or verdict.fix


def test_the_fixes_are_commands():
    assert judge(facts(wheel="tensorflow-cpu")).fix == "install_kerasbridge(gpu = TRUE)"
    missing = judge(facts(libraries={"libcudnn.so.9": None, "libcufft.so.11": None}))
    assert missing.fix.endswith("pip install nvidia-cudnn-cu12 nvidia-cufft-cu12")
    assert missing.details["missing"] == ["libcudnn.so.9", "libcufft.so.11"]
    assert "wsl --install" in judge(facts(system="Windows")).fix
    wsl = judge(facts(driver=None, devices=[], smi=None, wsl=True))
    assert "driver for Windows" in wsl.fix
    assert judge(facts(driver="1.0")).details == {
        "driver": "1.0",
        "needed": versions.CUDA12_MIN_DRIVER,
    }


def test_cudnn_is_the_one_of_that_tensorflow():
    assert "libcudnn.so.8" in graphics.wanted_libraries("2.17.1")
    assert "libcudnn.so.9" in graphics.wanted_libraries("2.18.0")
    assert graphics.package_of("libcudnn.so.9") == "nvidia-cudnn-cu12"


@pytest.mark.skipif(sys.platform != "linux", reason="stubs a Linux machine")
def test_facts_are_gathered_from_the_environment_and_nvidia_smi(tmp_path):
    site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    lib = site / "nvidia" / "cudnn" / "lib"
    lib.mkdir(parents=True)
    (lib / "libcudnn.so.9").write_bytes(b"")
    (tmp_path / "env" / "pyvenv.cfg").write_text("version = 3.11.2\n")
    info = site / "tensorflow-2.21.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: tensorflow\n")
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho '550.54.15, NVIDIA A100, 40960 MiB, 40000 MiB, 8.0'\n")
    smi.chmod(smi.stat().st_mode | stat.S_IXUSR)
    environ = {"PATH": str(smi.parent) + os.pathsep + "/bin", "CUDA_VISIBLE_DEVICES": "0"}
    seen = graphics.gather(str(tmp_path / "env"), "tensorflow", environ)
    assert (seen.wheel, seen.version, seen.driver) == ("tensorflow", "2.21.0", "550.54.15")
    assert seen.devices == [
        {
            "name": "NVIDIA A100",
            "memory_total": "40960 MiB",
            "memory_free": "40000 MiB",
            "compute_capability": "8.0",
        }
    ]
    assert seen.libraries["libcudnn.so.9"] == str(lib / "libcudnn.so.9")
    verdict = judge(seen)
    if verdict.reason == "library":  # no CUDA on this machine, as a rule
        assert "libcudnn.so.9" not in verdict.details["missing"]
        assert str(lib) in verdict.details["searched"]
    smi.write_text("#!/bin/sh\necho 'Failed to initialize NVML'\nexit 18\n")
    assert graphics.gather(str(tmp_path / "env"), "tensorflow", environ).devices == []


def test_the_parts_of_cuda_are_found_in_the_environment(tmp_path):
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "nvidia" / "cuda_nvcc" / "bin").mkdir(parents=True)
    (site / "nvidia" / "cuda_nvcc" / "bin" / "ptxas").write_bytes(b"")
    (tmp_path / "pyvenv.cfg").write_text("version = 3.11.2\n")
    for name, version in {
        "nvidia_cudnn_cu12": "9.3.0.75",
        "nvidia_cuda_nvcc_cu12": "12.5.82",
    }.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: x")
    found = {name: version for name, version, _ in graphics.parts(str(tmp_path))}
    assert found == {"CUDA": None, "cuDNN": "9.3.0.75", "ptxas": "12.5.82", "libdevice": None}


def test_status_is_of_this_interpreter():
    found = graphics.status()
    assert found["reason"] in ("found", "cpu_wheel", "no_driver", "no_device", "hidden", "library")
    assert found["found"] is (found["reason"] == "found")
    assert found["message"] and (found["fix"] or found["found"])
    assert found["version"] and isinstance(found["devices"], list)
