"""The version table and what `resolve()` makes of the things people type."""

from __future__ import annotations

import configparser
import math
import re
from pathlib import Path

import pytest
from kerasbridge.environment import versions
from kerasbridge.errors import InstallError

ROOT = Path(__file__).resolve().parents[2]


def resolve(version=None, **more):
    more.setdefault("system", "Linux")
    more.setdefault("machine", "x86_64")
    return versions.resolve(version, **more)


def test_the_ordinary_case_is_the_newest_pair():
    found = resolve(reticulate="1.41")
    assert found.requirements == [
        "tensorflow-cpu==2.21.0",
        "tensorboard",
        "keras==3.15.1",
        "numpy>=1.26,<2.6",
        "h5py>=3.10",
        "scipy",
        "pillow",
        "safetensors",
        "pyarrow",
    ]
    assert (found.tensorflow, found.keras, found.gpu) == ("2.21.0", "3.15.1", False)
    assert found.size_gb == 1.43


def test_tensorboard_comes_where_tensorflow_does_not_bring_it():
    assert "tensorboard" not in resolve("2.20").requirements
    assert "tensorboard" not in resolve(backend="jax").requirements
    assert "tensorboard" in resolve("2.21").requirements and "tensorboard" in versions.needs()


def test_an_old_reticulate_gets_numpy_1_and_is_told_why():
    found = resolve(reticulate="1.28")
    assert "numpy==1.26.4" in found.requirements
    assert "pyarrow<26" in found.requirements
    assert any("because reticulate 1.28 can't exchange arrays" in r for r in found.reasons)
    assert "numpy>=1.26,<2.6" in resolve(reticulate="1.38").requirements


@pytest.mark.parametrize(
    "wish, tensorflow, gpu",
    [
        ("2.16", "2.16.2", False),
        (2.16, "2.16.2", False),
        ((2, 18), "2.18.1", False),
        ("v2.17.0", "2.17.0", False),
        (" 2.19.* ", "2.19.1", False),
        ("==2.20.0", "2.20.0", False),
        (">=2.17,<2.20", "2.19.1", False),
        ("~=2.18.0", "2.18.1", False),
        ("<=2.18", "2.18.1", False),
        (">2.18,!=2.21", "2.20.0", False),
        ("2", "2.21.0", False),
        ("latest", "2.21.0", False),
        ("Default", "2.21.0", False),
        ("cpu", "2.21.0", False),
        ("gpu", "2.21.0", True),
        ("2.16-gpu", "2.16.2", True),
        ("2.18.1-cpu", "2.18.1", False),
    ],
)
def test_every_accepted_form_is_resolved(wish, tensorflow, gpu):
    found = resolve(wish)
    assert (found.tensorflow, found.gpu) == (tensorflow, gpu)


@pytest.mark.parametrize(
    "wish, says",
    [
        ("nightly-gpu", "Nightly builds"),
        ("2.16.0rc1", "Pre-releases"),
        ("2.17.dev20240101", "Pre-releases"),
        ("<TF_VERSION>", "is not a TensorFlow version"),
        ("tensorflow==2.16", "is not a TensorFlow version"),
        (">=2.17,foo", "is not a TensorFlow version"),
        ("", "empty string"),
        ("NA", "missing value"),
        (math.nan, "missing value"),
        (True, "is not a TensorFlow version"),
        ([], "is not a TensorFlow version"),
        ("2.15", "Keras 3 needs at least 2.16"),
        ("1.15", "Keras 3 needs at least 2.16"),
    ],
)
def test_everything_else_is_refused_with_the_accepted_forms(wish, says):
    with pytest.raises(InstallError, match=re.escape(says)) as caught:
        resolve(wish)
    assert caught.value.argument == "version"
    assert '"2.18.*"' in caught.value.hint
    assert "invalid version specification" not in str(caught.value)


def test_refusals_name_the_nearest():
    with pytest.raises(InstallError, match="no tested TensorFlow 2.16.0") as caught:
        resolve("2.16.0-gpu")
    assert caught.value.hint == "Use 2.16.1 or 2.16.2."
    with pytest.raises(InstallError, match="TensorFlow 2.22 is not") as caught:
        resolve("2.22")
    assert "newest tested is 2.21.0" in caught.value.hint
    with pytest.raises(InstallError) as caught:
        resolve(2.2)
    assert '"2.20" in quotes' in caught.value.hint
    with pytest.raises(InstallError, match="looks like a Keras version"):
        resolve("3.15")


def test_python_decides_what_can_be_had():
    assert resolve(python=(3, 9)).tensorflow == "2.20.0"
    assert resolve(python=(3, 9)).keras == "3.10.0"
    assert resolve(python=(3, 10)).keras == "3.12.4"
    assert resolve(python=(3, 13)).tensorflow == "2.21.0"
    with pytest.raises(
        InstallError, match="TensorFlow 2.19.1 runs on Python 3.9 to 3.12"
    ) as caught:
        resolve("2.19", python=(3, 13))
    assert caught.value.argument == "python"
    for python in ((3, 8), (3, 14)):
        with pytest.raises(InstallError, match=r"Python 3.9 to 3.13; this is Python 3\."):
            resolve(python=python)


def test_reticulate_decides_which_python_can_be_had():
    with pytest.raises(InstallError, match="reticulate 1.28 can't start Python 3.12") as caught:
        resolve(python=(3, 12), reticulate="1.28")
    assert "3.10 or 3.11" in caught.value.hint
    assert resolve(python=(3, 12), reticulate="1.36").numpy == "numpy==1.26.4"
    with pytest.raises(InstallError, match="Python 3.13 has no numpy 1"):
        resolve(python=(3, 13), reticulate="1.36")
    with pytest.raises(InstallError, match='reticulate = "new" is no version number'):
        resolve(reticulate="new")


def test_the_wheel_fits_the_machine():
    assert resolve(system="Darwin", machine="arm64").requirements[0] == "tensorflow==2.21.0"
    assert resolve(system="Linux", machine="aarch64").requirements[0] == "tensorflow==2.21.0"
    assert resolve(system="Windows", machine="AMD64").requirements[0] == "tensorflow-cpu==2.21.0"
    assert resolve(system="Darwin", machine="x86_64").tensorflow == "2.16.2"
    with pytest.raises(InstallError, match="Intel processor"):
        resolve("2.18", system="Darwin", machine="x86_64")


def test_gpu_brings_the_extra_that_exists():
    found = resolve(gpu=True)
    assert found.requirements[0] == "tensorflow[and-cuda]==2.21.0"
    assert (found.cuda, found.cudnn) == (">=12.5,<13", ">=9.3,<10")
    assert found.min_driver == "525.60.13"
    assert found.size_gb > 5
    with pytest.raises(InstallError, match="no CUDA on macOS"):
        resolve(gpu=True, system="Darwin", machine="arm64")
    with pytest.raises(InstallError, match="no graphics card on Windows"):
        resolve(gpu=True, system="Windows", machine="AMD64")


def test_cuda_versions_are_honoured_or_refused_with_the_nearest():
    found = resolve(gpu=True, cuda="12.3")
    assert (found.tensorflow, found.cuda) == ("2.17.1", "12.3")
    found = resolve(gpu=True, cuda="12.6", cudnn=9.3)
    assert found.tensorflow == "2.21.0"
    assert "nvidia-cuda-runtime-cu12==12.6.*" in found.requirements
    assert "nvidia-cudnn-cu12==9.3.*" in found.requirements
    with pytest.raises(InstallError, match="2.18.1 can't be had with CUDA 11.8") as caught:
        resolve("2.18", gpu=True, cuda="11.8")
    assert caught.value.hint.startswith("Nearest: TensorFlow 2.17.1 with CUDA 12.3 and cuDNN 8.9.")
    assert caught.value.argument == "cuda_version"
    with pytest.raises(InstallError, match="brings CUDA 12.3 and cuDNN 8.9") as caught:
        resolve("2.16", gpu=True, cudnn="9.3")
    assert "cuDNN >=9.3,<10" in caught.value.hint
    assert caught.value.argument == "cudnn_version"
    with pytest.raises(InstallError, match="go only with gpu"):
        resolve(cuda="12.3")
    with pytest.raises(InstallError, match="no version number"):
        resolve(gpu=True, cuda="newest")


def test_keras_can_be_chosen_inside_what_was_tried():
    assert "keras==3.12.0" in resolve("2.21", keras="3.12.0").requirements
    assert resolve(keras="3.15").keras == "3.15.1"
    assert resolve(keras="latest").keras == "3.15.1"
    for wish, says in (("3.10.0", "doesn't go with TensorFlow 2.21.0"), ("2.15", "Keras 3")):
        with pytest.raises(InstallError, match=says) as caught:
            resolve("2.21", keras=wish)
        assert caught.value.argument == "keras"
    with pytest.raises(InstallError, match="no version number"):
        resolve(keras="new")


def test_other_backends():
    assert resolve(backend="jax", reticulate="1.28").requirements[0] == "jax>=0.4.38,<0.7"
    assert resolve(backend="jax", gpu=True).requirements[0] == "jax[cuda12]>=0.4.38"
    assert resolve(backend="torch").requirements[0] == "torch>=2.4"
    assert not any("tensorflow" in r for r in resolve(backend="torch").requirements)
    with pytest.raises(InstallError, match='backend = "theano" is not known'):
        resolve(backend="theano")
    with pytest.raises(InstallError, match="names a TensorFlow version"):
        resolve("2.18", backend="jax")


def test_extras():
    tools = ["pytest>=7", "pytest-xdist", "ruff", "pyyaml", "hypothesis", "pandas"]
    assert resolve(extras=["dev"]).requirements[-7:] == [*tools, "jax>=0.4.38"]
    old = {"reticulate": "1.28"}
    assert resolve(extras=["dev"], **old).requirements[-1] == "jax>=0.4.38,<0.7"
    assert resolve(extras=["cluster"], **old).requirements[-1] == "jax>=0.4.38,<0.7"
    assert resolve("2.16", keras="3.0.5", extras=["dev"]).requirements[-6:] == tools
    assert resolve(backend="jax", extras=["dev"]).requirements[-6:] == tools
    with pytest.raises(InstallError, match="JAX 0.4.38 or newer, .+ TensorFlow 2.16.2") as caught:
        resolve("2.16", extras=["cluster"])
    assert caught.value.argument == "extra"
    with pytest.raises(InstallError, match="doesn't go with Python 3.9"):
        resolve(extras=["cluster"], python=(3, 9))
    with pytest.raises(InstallError, match='extra = "all" is not known'):
        resolve(extras=["all"])


def test_every_row_resolves_on_every_python_it_names():
    for row in versions.TENSORFLOW:
        for minor in range(row.python[0][1], row.python[1][1] + 1):
            found = resolve(versions.text(row.version), python=(3, minor))
            keras = tuple(int(part) for part in found.keras.split("."))
            assert keras[:2] >= row.keras_min
            assert found.tensorflow == versions.text(row.version)
    assert [row.version for row in versions.TENSORFLOW] == sorted(
        row.version for row in versions.TENSORFLOW
    )


def test_a_row_agrees_with_the_installed_wheel():
    """The table's limits are those of the wheel's own metadata."""
    metadata = pytest.importorskip("importlib.metadata")
    wheels = [d for d in metadata.distributions() if d.metadata["Name"] in _WHEELS]
    if not wheels:
        pytest.skip("no TensorFlow here")
    wheel = wheels[0]
    row = next(r for r in versions.TENSORFLOW if versions.text(r.version) == wheel.version)
    needs = [r for r in wheel.requires if "extra" not in r]
    keras = next(r for r in needs if r.startswith("keras"))
    assert versions.parse(re.search(r">=([\d.]+)", keras).group(1), "", "")[:2] == row.keras_min
    assert "and-cuda" in wheel.metadata.get_all("Provides-Extra")
    cuda = next(r for r in wheel.requires if r.startswith("nvidia-cuda-runtime"))
    low = versions.parse(re.search(r"(?:>=|==)([\d.]+)", cuda).group(1), "", "")
    assert low[:2] == row.cuda[0]


def test_the_file_for_r_holds_the_tables_ranges():
    path = Path(versions.__file__).with_name("needs.txt")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == versions.needs()
    assert versions.needs()[0] == "tensorflow-cpu>=2.16.1,<2.22"


_WHEELS = {"tensorflow", "tensorflow-cpu", "tensorflow_cpu"}


def test_tox_runs_the_oldest_and_the_newest_row():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    pins = re.findall(r"(oldest|newest): tensorflow-cpu==(\S+)", tox["testenv"]["deps"])
    rows = versions.TENSORFLOW
    oldest = [r for r in rows if r.version[:2] == rows[0].version[:2]][-1]
    assert dict(pins) == {
        "oldest": versions.text(oldest.version),
        "newest": versions.text(rows[-1].version),
    }
