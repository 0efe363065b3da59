"""Making environments: a stub installer fails in every known way and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from environment_command import ENGINE, child, posix, quiet
from kerasbridge.environment import checks, failures, install, installers, probe
from kerasbridge.errors import InstallError
from tiny_wheels import RETICULATE, VERSIONS, borrowed_site, tiny_wheels

MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"
HAS_KERAS = importlib.util.find_spec("keras") is not None
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None

# A `uv` that makes a real virtual environment, and "installs" by pointing it at the packages of
# the interpreter that runs these tests; or prints what it is told to and fails.
STUB = """#!{python}
import os, pathlib, subprocess, sys, time
arguments = sys.argv[1:]
with open(os.environ["STUB_CALLS"], "a") as calls:
    calls.write(" ".join(arguments) + chr(10))
if arguments[0] == "venv":
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", arguments[-1]], check=True)
    sys.exit(0)
told = os.environ.get("STUB_FAILS")
if told:
    print(pathlib.Path(told).read_text())
    sys.exit(1)
time.sleep(float(os.environ.get("STUB_SLEEPS", "0")))
env = pathlib.Path(arguments[arguments.index("--python") + 1]).parent.parent
site = env / "lib" / "{minor}" / "site-packages"
(site / "borrowed.pth").write_text(os.environ.get("STUB_SITE", ""))
for name in ("keras-3.15.1", "tensorflow_cpu-2.21.0"):
    (site / (name + ".dist-info")).mkdir()
    (site / (name + ".dist-info") / "METADATA").write_text("Name: x")
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Puts the stub first on PATH; gives a function that sets what it fails with."""
    folder = tmp_path / "stub"
    folder.mkdir()
    uv = folder / "uv"
    uv.write_text(STUB.format(python=sys.executable, minor=MINOR))
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STUB_CALLS", str(folder / "calls"))
    monkeypatch.setenv("STUB_SITE", borrowed_site() or "")

    def fails_with(text):
        if text is None:
            monkeypatch.delenv("STUB_FAILS", raising=False)
        else:
            (folder / "output").write_text(text)
            monkeypatch.setenv("STUB_FAILS", str(folder / "output"))

    fails_with.calls = lambda: (folder / "calls").read_text().splitlines()
    return fails_with


OUTPUTS = {
    "network": (
        "WARNING: Retrying after connection broken by 'NewConnectionError(... Failed to "
        "establish a new connection: [Errno -2] Name or service not known')\n"
        "ERROR: Could not find a version that satisfies the requirement keras==3.15.1 (from "
        "versions: none)",
        "can't be reached",
    ),
    "uv offline": (
        "error: No solution found when resolving dependencies\n\nhint: Packages were unavailable "
        "because the network was disabled.",
        "can't be reached",
    ),
    "uv no route": (
        "error: Failed to fetch\n  cause: error sending request\n  cause: tcp connect error",
        "can't be reached",
    ),
    "certificate": (
        "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify "
        "failed: self signed certificate in certificate chain'))",
        "certificate of the server was not accepted",
    ),
    "ssl": ("Can't connect to HTTPS URL because the SSL module is not available.", "ssl module"),
    "proxy": (
        "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy "
        "Authentication Required'))",
        "proxy refused",
    ),
    "forbidden": ("ERROR: HTTP error 403 while getting a wheel", "refused access"),
    "disk": ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full"),
    "wheel": (
        "ERROR: Could not find a version that satisfies the requirement tensorflow-cpu==2.21.0 "
        "(from versions: 2.20.0)\nERROR: No matching distribution found for tensorflow-cpu==2.21.0",
        "tensorflow-cpu==2.21.0 can't be had",
    ),
    "conflict": ("ERROR: ResolutionImpossible: for help visit", "can't be installed together"),
    "hash": ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "not the one the index names"),
    "truncated": ("zipfile.BadZipFile: File is not a zip file", "damaged"),
    "permission": ("ERROR: [Errno 13] Permission denied: '/usr/lib/x'", "can't be written to"),
    "compiler": ("ERROR: Failed building wheel for h5py", "no ready-made wheel"),
    "memory": ("MemoryError", "out of memory"),
    "unknown": ("something else\nstrange", "strange"),
}


@posix
@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_each_known_failure_is_named_and_leaves_nothing(name, tmp_path, stub):
    output, says = OUTPUTS[name]
    stub(output)
    place = tmp_path / "env"
    with pytest.raises(InstallError, match=says) as caught:
        install.install(str(place), echo=quiet, method="uv")
    assert caught.value.hint
    assert output.splitlines()[-1] in caught.value.details["output"]
    assert not place.exists()


@posix
@pytest.mark.skipif(not (HAS_KERAS and HAS_TENSORFLOW), reason="needs Keras and TensorFlow")
def test_installing_twice_failing_and_changing(tmp_path, stub):
    place = tmp_path / "a folder with spaces, é" / "env"
    stub("No space left on device")
    with pytest.raises(InstallError, match="disk is full"):
        install.install(str(place), echo=quiet)
    assert not place.exists()

    # the next one works with nothing done by hand; the trial runs real Keras in a new process
    stub(None)
    lines = []
    answer = install.install(str(place), reticulate=RETICULATE, echo=lines.append)
    assert answer["status"] == "installed"
    assert lines[-1].startswith(f"Installed: TensorFlow 2.21.0, Keras {VERSIONS['keras']} at ")
    assert probe.available(place)
    assert not (place / probe.INCOMPLETE).exists()
    record = probe.record(place)
    assert record["requirements"] == answer["requirements"]
    assert record["versions"]["keras"] == answer["versions"]["keras"]
    assert record["installer"] == "uv"
    asked = stub.calls()[-1]
    assert asked.endswith(" ".join(answer["requirements"]))
    assert "--no-index" not in asked and "index-url" not in asked

    # the same again: returns at once, the installer isn't called
    calls = len(stub.calls())
    lines.clear()
    assert (
        install.install(str(place), reticulate=RETICULATE, echo=lines.append)["status"] == "present"
    )
    assert len(lines) == 1 and lines[0].startswith("Already installed")
    assert len(stub.calls()) == calls

    # tensorflow-metal, put there since, spoils results: the environment is made again without it
    site = place / "lib" / MINOR / "site-packages"
    metal = site / "tensorflow_metal-1.2.0.dist-info"
    metal.mkdir()
    (metal / "METADATA").write_text("Name: tensorflow-metal\n")
    assert install.install(str(place), reticulate=RETICULATE, echo=quiet)["status"] == "installed"
    assert not metal.exists()
    record = probe.record(place)

    # another version that fails: what stood there stays and works
    stub("ResolutionImpossible")
    with pytest.raises(InstallError, match="can't be installed together"):
        install.install(str(place), version="2.20", reticulate=RETICULATE, echo=quiet)
    assert probe.record(place) == record
    assert probe.available(place)
    assert [p.name for p in place.parent.iterdir()] == ["env"]


@posix
def test_an_environment_that_does_not_work_is_not_called_installed(tmp_path, stub, monkeypatch):
    monkeypatch.setenv("STUB_SITE", "")  # nothing is really there to import
    place = tmp_path / "env"
    lines = []
    with pytest.raises(InstallError, match="tried and failed.*No module named 'numpy'") as caught:
        install.install(str(place), echo=lines.append)
    assert "removed" in caught.value.hint
    assert not place.exists()
    assert not any(line.startswith("Installed") for line in lines)


@posix
def test_being_killed_leaves_a_mark_that_the_next_one_clears(tmp_path, stub, monkeypatch):
    place = tmp_path / "env"
    command = [sys.executable, "-m", "kerasbridge.environment", "install", "--path", str(place)]
    environ = {**os.environ, "PYTHONPATH": str(ENGINE), "STUB_SLEEPS": "60"}
    for number, left in ((signal.SIGTERM, False), (signal.SIGKILL, True)):
        child = subprocess.Popen(
            command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_until(lambda: (place / "pyvenv.cfg").exists() and (place / "bin/python").exists())
        with pytest.raises(InstallError, match=rf"Another installation .*process {child.pid}"):
            install.install(str(place), echo=quiet)
        child.send_signal(number)
        child.wait(30)
        assert place.exists() is left
    assert not probe.available(place)
    stub("ERROR: ResolutionImpossible")
    with pytest.raises(InstallError, match="can't be installed together"):
        install.install(str(place), echo=quiet)
    assert not place.exists()


def _wait_until(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "waited 60 seconds in vain"
        time.sleep(0.02)


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(InstallError, match="a folder that was not made by this package"):
        install.install(str(tmp_path / "work"), echo=quiet)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    with pytest.raises(InstallError, match="an environment that was not made by this package"):
        install.install(str(tmp_path / "venv"), echo=quiet)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InstallError, match="is a file"):
        install.install(str(tmp_path / "file"), echo=quiet)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_dry_run_says_all_and_changes_nothing(tmp_path):
    lines = []
    place = tmp_path / "none" / "env"
    version, numpy = ("2.18.1", "numpy==1.26.4") if RETICULATE == "1.28" else ("2.20.0", "numpy")
    answer = install.install(
        str(place), version=version[:4], reticulate=RETICULATE, method="pip", dry_run=True,
        echo=lines.append,
    )  # fmt: skip
    assert answer["status"] == "planned"
    assert list(tmp_path.iterdir()) == []
    text = "\n".join(lines)
    for part in (sys.executable, str(place), f"=={version}", numpy, " GB"):
        assert part in text
    assert ("reticulate" in text) == (RETICULATE == "1.28")


def test_a_full_disk_is_seen_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: _Usage(10, 9, 5e8))
    with pytest.raises(InstallError, match="0.5 GB are free, about 1.9 GB are needed"):
        install.install(str(tmp_path / "env"), method="pip", reticulate=RETICULATE, echo=quiet)
    assert list(tmp_path.iterdir()) == []


class _Usage:
    def __init__(self, total, used, free):
        self.total, self.used, self.free = total, used, free


def test_wishes_that_cannot_be_are_refused_first(tmp_path):
    for more, says, argument in (
        ({"method": "docker"}, "is not known", "method"),
        ({"wheels": str(tmp_path / "none")}, "is not there", "from"),
        ({"wheels": str(tmp_path)}, "holds no .whl file", "from"),
        ({"wheels": __file__}, "is a file, not a folder", "from"),
        ({"version": "gpuu"}, "is not a TensorFlow version", "version"),
    ):
        with pytest.raises(InstallError, match=says) as caught:
            install.install(str(tmp_path / "env"), echo=quiet, **more)
        assert caught.value.argument == argument
    assert list(tmp_path.iterdir()) == []


@posix
def test_debian_without_its_venv_package_is_told_the_command(tmp_path):
    """A Python without ensurepip, made for real: a copy of this one that can't find it."""
    code = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'ensurepip':\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from kerasbridge.environment.__main__ import main\n"
        f"sys.exit(main(['install', '--method', 'pip', '--path', {str(tmp_path / 'env')!r}]))\n"
    )
    done = child(["-c", code])
    assert done.returncode == 1
    short = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"apt-get install python{short}-venv" in done.stderr
    assert "ensurepip is missing" in done.stderr
    assert not (tmp_path / "env").exists()


def test_children_do_not_inherit_what_would_mislead_them(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/R/lib")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    environ = installers.child_environment({"A": "1"})
    assert "LD_LIBRARY_PATH" not in environ and "PYTHONPATH" not in environ
    assert (environ["HTTPS_PROXY"], environ["A"]) == ("http://proxy:1", "1")


def test_explain_knows_signals_and_folders_of_wheels():
    assert "memory" in failures.explain("", -9, "installing").message
    error = failures.explain(
        "ERROR: No matching distribution found for keras==3.15.1", 1, "installing", offline=True
    )
    assert "folder of wheels has no keras==3.15.1" in error.message
    assert error.argument == "from"


def test_the_report_for_r_is_plain_lines(tmp_path):
    report = tmp_path / "report.dcf"
    place = str(tmp_path / "env")
    done = child(
        ["-m", "kerasbridge.environment", "install", "--path", place, "--version", "nightly"]
        + ["--report", str(report)]
    )
    assert done.returncode == 1
    fields = dict(line.split(": ", 1) for line in report.read_text().splitlines())
    assert fields["status"] == "failed"
    assert fields["kind"] == "install"
    assert fields["argument"] == "version"
    assert "Nightly" in fields["message"]
    # R says it, so the child doesn't
    assert "Error:" not in done.stderr


def test_the_command_line_lists_versions_and_environments():
    rows = json.loads(child(["-m", "kerasbridge.environment", "versions", "--json"]).stdout)
    assert rows[-1]["tensorflow"] == "2.21.0"
    assert rows[-1]["python"] == "3.10 to 3.13"
    table = child(["-m", "kerasbridge.environment", "versions"]).stdout.splitlines()
    assert len(table) == len(rows) + 1
    found = json.loads(child(["-m", "kerasbridge.environment", "list", "--json"]).stdout)
    assert all({"path", "python", "versions", "complete"} <= set(row) for row in found)
    assert child(["-m", "kerasbridge.environment"]).returncode == 2


# ---- processors, conda, what is there already ---------------------------------------------


def test_a_processor_that_cannot_run_the_wheels_is_refused():
    plain = {"machine": "x86_64", "avx": False, "translated": False}
    with pytest.raises(InstallError, match="no AVX"):
        checks.check_processor("tensorflow", plain)
    checks.check_processor("torch", plain)
    checks.check_processor("tensorflow", {**plain, "avx": None})
    with pytest.raises(InstallError, match="for Intel on an Apple processor"):
        checks.check_processor("torch", {**plain, "translated": True})


CONDA = """#!{python}
import sys, subprocess
arguments = sys.argv[1:]
with open({calls!r}, "a") as calls:
    calls.write(" ".join(arguments) + chr(10))
if {fails!r}:
    print("CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://example.org>")
    sys.exit(1)
place = arguments[arguments.index("--prefix") + 1]
import os
assert not os.path.exists(place), "conda wants to make the folder itself"
subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", place], check=True)
"""


@posix
def test_conda_makes_the_interpreter_and_pip_installs(stub, tmp_path, monkeypatch):
    calls = tmp_path / "conda-calls"
    conda = tmp_path / "conda"
    conda.write_text(CONDA.format(python=sys.executable, calls=str(calls), fails=False))
    conda.chmod(0o755)
    monkeypatch.setenv("CONDA_EXE", str(conda))
    monkeypatch.setattr(installers, "install_requirements", lambda *a: None)
    monkeypatch.setattr(install, "smoke_test", lambda *a, **k: {"keras": "3.15.1"})
    place = tmp_path / "env"
    lines = []
    done = install.install(str(place), method="conda", echo=lines.append)
    assert done["status"] == "installed"
    assert probe.record(place)["installer"] == "conda and pip"
    assert not (place / probe.INCOMPLETE).exists()
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert calls.read_text() == f"create --yes --quiet --prefix {place} python={minor} pip\n"
    calls.unlink()
    wheels = tiny_wheels(tmp_path / "wheels")
    offline = tmp_path / "offline"
    install.install(str(offline), method="conda", wheels=str(wheels), echo=quiet)
    assert calls.read_text().startswith(f"create --offline --yes --quiet --prefix {offline} ")
    conda.write_text(CONDA.format(python=sys.executable, calls=str(calls), fails=True))
    with pytest.raises(InstallError, match="can't be reached|could not reach"):
        install.install(str(tmp_path / "other"), method="conda", echo=quiet)
    assert not (tmp_path / "other").exists()


def test_conda_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.delenv("CONDA_EXE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InstallError, match="conda was asked for") as caught:
        install.install(str(tmp_path / "env"), method="conda", echo=quiet)
    assert caught.value.argument == "method"


@posix
def test_what_a_killed_process_had_put_aside_comes_back(tmp_path, stub):
    """Killed while a second version was being made: the first one is under another name then."""
    place, aside = tmp_path / "env", tmp_path / "env.kerasbridge-old"
    for folder, name, text in (
        (aside, probe.RECORD, json.dumps({"requirements": ["old"]})),
        (place, probe.INCOMPLETE, "{}"),
    ):
        folder.mkdir()
        (folder / name).write_text(text)
    stub("ERROR: ResolutionImpossible")
    with pytest.raises(InstallError, match="can't be installed together"):
        install.install(str(place), echo=quiet)
    assert probe.record(place) == {"requirements": ["old"]}
    assert not aside.exists()


def test_a_python_that_is_too_new_is_told_how_another_is_had(tmp_path, monkeypatch):
    """Before anything is made; the interpreter is this one with the version of a coming one."""
    code = (
        "import sys, runpy\n"
        "sys.version_info = (3, 14, 0, 'final', 0)\n"
        f"sys.argv = ['x', 'install', '--path', {str(tmp_path / 'env')!r}]\n"
        "runpy.run_module('kerasbridge.environment', run_name='__main__')\n"
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool, says in (
        (None, "uv python install 3.11"),
        ("pyenv", "PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.11"),
        ("uv", "Fetch one that fits: `uv python install 3.11`"),
    ):
        if tool:
            (tools / tool).write_text("#!/bin/sh\n")
            (tools / tool).chmod(0o755)
        done = child(["-c", code], PATH=str(tools))
        assert done.returncode == 1
        assert "runs on Python 3.9 to 3.13; this is Python 3.14 (" in done.stderr
        assert says in done.stderr
        assert not (tmp_path / "env").exists()


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="CUDA's libraries come from pip on Linux only")
def test_a_driver_that_is_too_old_is_refused_before_gigabytes_are_downloaded(tmp_path, monkeypatch):
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho '470.82.01, Tesla T4, 15360 MiB, 15000 MiB, 7.5'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}{os.pathsep}{os.environ['PATH']}")
    place = str(tmp_path / "env")
    with pytest.raises(
        InstallError, match="driver 470.82.01 is too old: CUDA 12 needs 525"
    ) as caught:
        install.install(place, gpu=True, reticulate=RETICULATE, dry_run=True, echo=quiet)
    assert caught.value.argument == "gpu"
    install.install(place, reticulate=RETICULATE, dry_run=True, echo=quiet)
    smi.write_text("#!/bin/sh\nexit 9\n")
    lines = []
    install.install(place, gpu=True, reticulate=RETICULATE, dry_run=True, echo=lines.append)
    if not os.path.exists("/proc/driver/nvidia/version"):
        assert any("No NVIDIA driver was found here" in line for line in lines)
