"""A benchmark's line about its machine tells processors apart that have one name."""

from pathlib import Path

from benchmarks.machine import describe, processor_name

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: another
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 50.00
CPU implementer\t: 0x41
"""


def test_family_and_model_tell_generations_of_one_name_apart() -> None:
    assert processor_name(EPYC, otherwise="x86_64") == "AMD EPYC (family 26, model 2)"


def test_a_system_that_names_no_processor_gives_its_architecture() -> None:
    assert processor_name(ARM, otherwise="aarch64") == "aarch64"
    assert processor_name("", otherwise="arm64") == "arm64"


def test_the_line_begins_with_this_machines_processor() -> None:
    line = describe("cpu")
    file = Path("/proc/cpuinfo")
    assert line.startswith(processor_name(file.read_text() if file.exists() else "", otherwise=""))
    assert not line.startswith(",")
