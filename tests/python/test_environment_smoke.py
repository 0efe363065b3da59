"""What a failed trial of an environment is reported as."""

from __future__ import annotations

import sys

import pytest
from kerasbridge.environment import smoke
from kerasbridge.errors import InstallError

CRASH = """\
I0000 00:00:1795620894.9 996 port.cc:153] oneDNN custom operations are on.
F0000 00:00:1795620895.4 996 env.cc:410] Check failed: -1 != path_length (-1 vs. -1)
*** Check failure stack trace: ***
    @     0x7f6652a7748e  (unknown)
    @           0x5187e5  (unknown)
"""


@pytest.mark.parametrize(
    "output, said",
    [
        (CRASH, "Check failed: -1 != path_length (-1 vs. -1)"),
        ("Traceback ...\nImportError: no numpy\n", "ImportError: no numpy"),
        ("some words\n    @     0x7f6652a7748e  (unknown)\n", "some words"),
        ("", "no output"),
    ],
)
def test_the_telling_line_is_shown(output, said):
    error = smoke._failed(-6, output)
    assert str(error).startswith("The new environment was tried and failed (exit status -6): ")
    assert str(error).splitlines()[0].endswith(said)


@pytest.mark.parametrize("code, said", [(-4, "instruction"), (137, "memory ran out")])
def test_signals_are_explained(code, said):
    assert said in str(smoke._failed(code, ""))


def test_a_program_that_fails_is_run_for_real(tmp_path):
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nraise SystemExit('no Keras in here')\n")
    program.chmod(0o755)
    with pytest.raises(InstallError, match=r"exit status 1\): no Keras in here"):
        smoke.smoke_test(str(program), "tensorflow", {}, timeout=60)
