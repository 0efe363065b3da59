"""Writes the versions of an environment without R, as `cell.sh` writes them for one with R."""

import platform
from importlib import metadata

if __name__ == "__main__":
    import keras

    backend = keras.config.backend()
    name = {"tensorflow": "tensorflow-cpu"}.get(backend, backend)
    print(
        f"keras\t{keras.__version__}\nbackend\t{backend}\nbackend_version\t{metadata.version(name)}"
    )
    print(f"python\t{platform.python_version()}\nnumpy\t{metadata.version('numpy')}")
