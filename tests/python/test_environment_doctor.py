"""The doctor on environments that are broken for real, made in temporary folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv

import pytest
from conftest import ENGINE
from kerasbridge.environment import doctor, machine
from kerasbridge.environment.imports import try_imports
from kerasbridge.environment.settings import read_settings
from tiny_wheels import RETICULATE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="lays out a Unix environment")
MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"
GOOD = {"numpy": "1.26.4", "h5py": "3.14.0", "protobuf": "6.33.0", "tensorflow": "2.21.0"}


@pytest.fixture
def make(tmp_path):
    """make({"numpy": "1.26.4"}, {"h5py": "import os; os.abort()"}): stub packages that import."""

    def build(packages=None, sources=None):
        folder = tmp_path / "env"
        venv.create(folder, with_pip=False, symlinks=True)
        site = folder / "lib" / MINOR / "site-packages"
        for name, version in {**GOOD, "keras": "3.15.1", **(packages or {})}.items():
            if version is None:
                continue
            info = site / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
            module = {"protobuf": "google/protobuf"}.get(name, name)
            (site / module).mkdir(parents=True)
            text = (sources or {}).get(name, f"__version__ = {version!r}\n")
            (site / module / "__init__.py").write_text(text)
        return str(folder)

    return build


@pytest.fixture
def clean(tmp_path):
    """An environment of variables with nothing that speaks of Python."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}


def rows_of(place, environ, **options):
    return {row.check: row for row in doctor.examine(place, environ=environ, **options)}


def test_a_sound_environment_has_no_problem(make, clean):
    rows = rows_of(make(), clean, why="a test made it", reticulate=RETICULATE)
    assert [row.check for row in rows.values() if row.status == doctor.PROBLEM] == []
    assert rows["Python"].found.endswith("because a test made it")
    assert rows["imports"].found == (
        "numpy 1.26.4, h5py 3.14.0, google.protobuf 6.33.0, tensorflow 2.21.0, keras 3.15.1"
    )
    assert rows["backend"].found == "tensorflow, from Keras' default"
    # looking left no settings file behind
    assert not os.path.exists(os.path.join(clean["HOME"], ".keras"))


def test_an_import_that_aborts_is_named(make, clean):
    place = make(sources={"h5py": "import os\nos.abort()\n"})
    row = rows_of(place, clean)["imports"]
    assert row.status == doctor.PROBLEM
    assert row.found == "h5py: SIGABRT"
    assert "ended the process" in row.cause
    assert (
        row.fix == "python -m kerasbridge.environment install --path ~/.virtualenvs/r-kerasbridge"
    )
    row = rows_of(place, clean, reticulate="1.28")["imports"]
    assert row.fix == "install_kerasbridge()"


def test_an_import_that_hangs_is_given_up(make, clean):
    place = make(sources={"tensorflow": "import time\ntime.sleep(60)\n"})
    row = rows_of(place, clean, timeout=1.5)["imports"]
    assert row.status == doctor.WARNING
    assert row.found == "tensorflow: no answer within 1.5 seconds"


def test_an_import_error_is_explained(make, clean):
    text = "raise ImportError(\"cannot import name 'runtime_version' from 'google.protobuf'\")\n"
    row = rows_of(make(sources={"tensorflow": text}), clean)["imports"]
    assert row.found.startswith("tensorflow: ImportError")
    assert row.cause == "The installed protobuf is older than TensorFlow was built for."


def test_a_missing_package_is_a_problem_of_its_own_row(make, clean):
    rows = rows_of(make({"keras": None}), clean, deep=False)
    assert (rows["keras"].status, rows["keras"].found) == (doctor.PROBLEM, "not installed")
    assert rows["tensorflow"].status == doctor.OK and "imports" not in rows


def test_numpy_2_needs_a_newer_reticulate(make, clean):
    place = make({"numpy": "2.2.6"})
    row = rows_of(place, clean, deep=False, reticulate="1.28")["numpy"]
    assert row.status == doctor.PROBLEM
    assert row.cause == "numpy 2.2.6 needs reticulate 1.38 or newer; this is 1.28."
    assert rows_of(place, clean, deep=False, reticulate="1.41")["numpy"].status == doctor.OK
    assert rows_of(place, clean, deep=False)["numpy"].status == doctor.OK


def test_versions_that_do_not_go_together_are_named(make, clean):
    row = rows_of(make({"keras": "3.5.0"}), clean, deep=False)["keras"]
    assert (
        row.cause
        == "Keras 3.5.0 doesn't go with TensorFlow 2.21.0, which needs Keras 3.12 or newer."
    )


def test_an_old_numpy_beside_a_new_tensorflow_is_named(make, clean):
    row = rows_of(make({"numpy": "1.24.4"}), clean, deep=False)["tensorflow"]
    assert "needs numpy from 1.26 to below 2.6; 1.24.4 is installed" in row.cause


def test_keras_2_is_too_old(make, clean):
    row = rows_of(make({"keras": "2.15.0", "tensorflow": "2.15.0"}), clean, deep=False)["keras"]
    assert row.cause == "Keras 2.15.0 is too old: Keras 3 is needed."


def test_an_interpreter_that_is_gone(tmp_path, clean):
    rows = rows_of(str(tmp_path / "nothing" / "bin" / "python"), clean)
    assert rows["Python"].status == doctor.PROBLEM
    assert rows["Python"].cause == "The interpreter that is named is gone."
    assert rows["imports"].status == doctor.PROBLEM


def test_an_installation_that_was_cut_short(make, clean):
    place = make()
    with open(os.path.join(place, ".kerasbridge-incomplete"), "w") as file:
        file.write("{}")
    row = rows_of(place, clean, deep=False)["Python"]
    assert row.status == doctor.PROBLEM and "cut short" in row.cause


def test_library_paths_that_do_harm(make, clean):
    place = make()
    row = rows_of(place, {**clean, "PYTHONHOME": "/opt/x"}, deep=False)["library paths"]
    assert row.status == doctor.PROBLEM and "PYTHONHOME=/opt/x" in row.found
    row = rows_of(place, {**clean, "PYTHONPATH": "/opt/y"}, deep=False)["library paths"]
    assert row.status == doctor.WARNING
    row = rows_of(place, {**clean, "PYTHONPATH": str(ENGINE)}, deep=False)["library paths"]
    assert row.status == doctor.OK


def test_keras_settings_say_what_counts(tmp_path, clean):
    home = tmp_path / "settings"
    home.mkdir()
    file = home / "keras.json"
    environ = {**clean, "KERAS_HOME": str(home)}
    assert read_settings(environ).source == "Keras' default"
    file.write_text(json.dumps({"backend": "jax", "floatx": "float32"}))
    settings = read_settings(environ)
    assert (settings.backend, settings.source) == ("jax", str(file))
    settings = read_settings({**environ, "KERAS_BACKEND": "torch"})
    assert (settings.backend, settings.problem) == ("torch", "")
    assert "KERAS_BACKEND" in settings.source
    assert "no backend of Keras 3" in read_settings({**environ, "KERAS_BACKEND": "theano"}).problem
    file.write_text("{broken")
    assert "can't be read" in read_settings(environ).problem
    file.write_text("[1]")
    assert "holds no settings" in read_settings(environ).problem


def test_a_processor_without_avx(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags\t\t: fpu sse sse2\n")
    if machine.processor()["machine"] in ("x86_64", "AMD64") and sys.platform == "linux":
        assert machine.processor(str(info))["avx"] is False
        info.write_text("processor : 0\nflags\t\t: fpu sse avx avx2\n")
        assert machine.processor(str(info))["avx"] is True
    assert machine.processor(str(tmp_path / "gone"))["avx"] in (None, True)


def test_memory_disk_and_the_c_library(tmp_path):
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable: 2097152 kB\n")
    assert machine.memory(str(info)) == (8.0, 2.0)
    assert machine.memory(str(tmp_path / "gone")) is None
    assert machine.disk(str(tmp_path / "a" / "b" / "c")) > 0
    lib = tmp_path / "old"
    lib.mkdir()
    (lib / "libstdc++.so.6").write_bytes(b"..GLIBCXX_3.4.9..GLIBCXX_3.4.22..")
    assert machine.newest_glibcxx(str(lib / "libstdc++.so.6")) == 22
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "lib" / "libstdc++.so.6").write_bytes(b"GLIBCXX_3.4.99")
    row = doctor._cpp_library(str(tmp_path / "env"), str(lib))[0]
    assert row.status == doctor.WARNING
    assert row.fix == f"LD_PRELOAD={tmp_path / 'env' / 'lib' / 'libstdc++.so.6'} R"


def test_a_report_names_nobody(tmp_path):
    environ = {"HOME": "/Users/anna", "USER": "anna"}
    text = doctor.redacted("/Users/anna/.virtualenvs/x, because anna chose it; banana", environ)
    assert text == "~/.virtualenvs/x, because user chose it; banana"


def test_the_command_prints_a_table_and_its_status_says_whether_all_is_well(make, clean):
    place = make()

    def run(*more):
        return subprocess.run(
            [sys.executable, "-m", "kerasbridge.environment", "doctor", "--python", place, *more],
            capture_output=True,
            text=True,
            timeout=60,
            env={**clean, "PYTHONPATH": str(ENGINE)},
        )

    done = run("--shallow")
    assert done.returncode == 0, done.stdout
    assert "ok       keras" in done.stdout
    rows = json.loads(run("--shallow", "--json").stdout)
    assert {"check", "status", "found", "cause", "fix"} == set(rows[0])
    os.remove(
        os.path.join(place, "lib", MINOR, "site-packages", "keras-3.15.1.dist-info", "METADATA")
    )
    done = run("--shallow")
    assert done.returncode == 1
    assert "PROBLEM" in done.stdout
    assert "fix: python -m kerasbridge.environment install --path " in done.stdout


def test_try_imports_on_another_backend(make, clean):
    place = make({"jax": "0.6.2"})
    trial = try_imports(os.path.join(place, "bin", "python"), "jax", clean)
    assert trial.ok and "tensorflow" not in trial.versions and trial.versions["jax"] == "0.6.2"
    assert trial.shared in (True, False)


def test_a_python_that_is_too_new_for_reticulate(make, clean):
    place = make()
    config = os.path.join(place, "pyvenv.cfg")
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:
        file.writelines(
            "version = 3.13.1\n" if line.startswith("version") else line + "\n"
            for line in text.splitlines()
        )
    row = rows_of(place, clean, deep=False, reticulate="1.28")["Python"]
    assert row.status == doctor.PROBLEM
    assert row.cause == "reticulate 1.28 can't use Python 3.12 or newer."
    assert rows_of(place, clean, deep=False, reticulate="1.41")["Python"].status == doctor.OK


def test_parts_of_other_systems(make, clean, tmp_path):
    row = rows_of(make({"tensorflow-metal": "1.2.0"}), clean, deep=False)["tensorflow-metal"]
    assert (row.status, row.fix) == (doctor.PROBLEM, "pip uninstall tensorflow-metal")
    row = doctor._visual_cpp(str(tmp_path))
    assert row.status == doctor.PROBLEM and "vcruntime140_1.dll" in row.found
    for name in ("msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"):
        (tmp_path / name).write_bytes(b"")
    assert doctor._visual_cpp(str(tmp_path)).status == doctor.OK


def test_a_package_on_pythonpath_that_spoils_an_import_is_found_out(make, clean, tmp_path):
    place = make()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "h5py.py").write_text("raise ImportError('an old one')\n")
    rows = rows_of(place, {**clean, "PYTHONPATH": str(tmp_path / "old")}, reticulate="1.28")
    assert rows["imports"].status == doctor.PROBLEM
    assert rows["imports"].cause == (
        "With PYTHONPATH as it is set the import of h5py fails; without it it works."
    )
    assert rows["imports"].fix.startswith('Sys.unsetenv("PYTHONPATH")')
    assert rows["library paths"].status == doctor.WARNING
    # in the words of a shell where R doesn't ask
    plain = rows_of(place, {**clean, "PYTHONPATH": str(tmp_path / "old")})
    assert plain["imports"].fix.startswith("unset PYTHONPATH")


def test_what_was_made_here_is_made_again_in_its_place(make, clean):
    place = make({"keras": None})
    with open(os.path.join(place, "kerasbridge-environment.json"), "w") as file:
        file.write("{}")
    row = rows_of(place, clean, deep=False)["keras"]
    assert row.fix == f"python -m kerasbridge.environment install --path {place}"


def test_a_second_look_takes_no_longer_than_the_first_leaves(make, clean, monkeypatch):
    """An import that is slow and then fails isn't tried again beyond the limit."""
    place = make(sources={"h5py": "import time\ntime.sleep(1.5)\nraise ImportError('slow')\n"})
    tried = []
    monkeypatch.setattr(doctor, "try_imports", lambda *a: tried.append(a[3]) or try_imports(*a))
    row = rows_of(place, {**clean, "LD_LIBRARY_PATH": "/nowhere"}, timeout=4.0)["imports"]
    assert row.found == "h5py: ImportError: slow"
    assert tried[0] == 4.0 and len(tried) == 2 and tried[1] < 2.5
    tried.clear()
    rows_of(place, {**clean, "LD_LIBRARY_PATH": "/nowhere"}, timeout=2.3)
    assert len(tried) == 1


def test_a_python_without_ssl_and_ctypes_is_looked_at_too(make, clean):
    """Pythons that were built without these parts are among those that people ask about."""
    code = (
        "import sys\n"
        "sys.modules.update(_ssl=None, ssl=None, _ctypes=None, ctypes=None)\n"
        "from kerasbridge.environment.__main__ import main\n"
        f"sys.exit(main(['doctor', '--shallow', '--python', {make()!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean, "PYTHONPATH": str(ENGINE)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok       keras" in done.stdout
