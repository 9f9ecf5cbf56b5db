"""Programs run as if on another processor: profiles, patches, and a small program that is patched."""

import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from benchmarks.othercpu import __main__ as othercpu
from benchmarks.othercpu import patch, profiles
from benchmarks.othercpu.profiles import INTEL, PROCESSORS, Processor
from digits.errors import InputError

PROCESSOR = pytest.mark.parametrize("processor", PROCESSORS.values(), ids=PROCESSORS)
PROGRAM = r"""
#include <cpuid.h>
#include <immintrin.h>
#include <stdio.h>

static float memory[9] = {9, .3f, 1.7f, 5, 1e-9f, 7e20f, 3, 11, 1e-30f}, out[8];

#define SHOW(...) do { \
    __asm__ volatile("vmovups 4+%1, %%ymm9\n vmovups 8+%1, %%xmm3\n lea %1, %%r13\n mov $2, %%r10\n" \
                     __VA_ARGS__ "\n vmovups %%ymm3, %0" : "=m"(out) : "m"(memory) : "xmm3", "xmm9", "r10", "r13"); \
    for (int i = 0; i < 8; i++) printf("%a ", out[i]); \
    printf("\n"); \
} while (0)

int main(void) {
    unsigned r[4], text[4] = {0};
    __cpuid(0, r[0], text[0], text[2], text[1]);
    printf("%s\n", (char *)text);
    SHOW("rsqrtps %%xmm3, %%xmm3");
    SHOW("rcpps %%xmm9, %%xmm3");
    SHOW("rsqrtss 4(%%r13,%%r10,4), %%xmm3");
    SHOW("rcpps (%%r13), %%xmm3");
    SHOW("rsqrtps memory(%%rip), %%xmm3");
    SHOW("vrsqrtps %%ymm3, %%ymm3");
    SHOW("vrsqrtps %%ymm9, %%ymm3");
    SHOW("vrcpps 4(%%r13), %%xmm3");
    SHOW("vrsqrtss %%xmm3, %%xmm9, %%xmm3");
    SHOW("vrcpss 4(%%r13,%%r10,8), %%xmm9, %%xmm3");
    return 0;
}
"""


def registers(processor: Processor) -> dict[tuple[int, int | None], profiles.Registers]:
    return {(leaf, sub): values for leaf, sub, values in profiles.leaves(processor)}


@PROCESSOR
def test_cpuid_tells_make_and_model(processor: Processor) -> None:
    leaves = registers(processor)
    highest, b, c, d = leaves[0, None]
    assert (highest, struct.pack("<3I", b, d, c).decode()) == (processor.highest, processor.vendor)
    signature = leaves[1, None][0]
    family, model = signature >> 8 & 15, signature >> 4 & 15 | signature >> 12 & 0xF0
    family += signature >> 20 & 255 if family == 15 else 0
    assert (family, model, signature & 15) == (processor.family, processor.model, processor.stepping)
    name = b"".join(struct.pack("<4I", *leaves[0x80000002 + part, None]) for part in range(3))
    assert name.rstrip(b"\0").decode() == processor.name


@PROCESSOR
def test_cpuid_tells_instruction_sets(processor: Processor) -> None:
    leaves = registers(processor)
    assert leaves[1, None][2] >> 12 & leaves[7, 0][1] >> 5 & 1  # FMA and AVX2
    avx512 = [leaves[7, 0][1] >> bit & 1 for bit in (16, 17, 28, 30, 31)]
    assert avx512 == [int("avx512f" in processor.flags)] * 5
    if "avx512f" not in processor.flags:
        assert leaves[7, 0][2] & 0b0101_1000_0100_0010 == 0
        assert leaves[7, 1][0] == 0


def test_three_processors_have_no_avx512() -> None:
    without = {name for name, processor in PROCESSORS.items() if "avx512f" not in processor.flags}
    assert without == {"haswell", "rome", "milan"}


@PROCESSOR
def test_cpuid_tells_sizes_of_caches(processor: Processor) -> None:
    leaves = registers(processor)
    found = []
    for sub in range(4):
        _, b, sets, _ = leaves[4 if processor.vendor == INTEL else 0x8000001D, sub]
        ways, line = (b >> 22) + 1, (b & 0xFFF) + 1
        found.append((ways * line * (sets + 1) // 1024, ways))
    assert tuple(found) == processor.caches
    assert leaves[0x80000006, None][2] >> 16 == processor.caches[2][0]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("0fa2", (0, 0x06)),  # cpuid
        ("0f52d8", (0, 0xCC)),  # rsqrtps xmm3, xmm0
        ("410f53d9", (1, 0x06)),  # rcpps xmm3, xmm9
        ("f30f52d8", (1, 0x06)),  # rsqrtss xmm3, xmm0
        ("f3430f535c5104", (2, 0x06)),  # rcpss xmm3, [r9 + r10*2 + 4]
        ("c5fc52d8", (0, 0xCC)),  # vrsqrtps ymm3, ymm0
        ("c5b252db", (0, 0x0E)),  # vrsqrtss xmm3, xmm9, xmm3
        ("c4c17c535d40", (0, 0x16)),  # vrcpps ymm3, [r13 + 64]
        ("c4c13253d9", (0, 0x16)),  # vrcpss xmm3, xmm9, xmm9
        ("0f51d8", None),  # sqrtps xmm3, xmm0
        ("c5fc51d8", None),  # vsqrtps ymm3, ymm0
        ("c4e27d52d8", None),  # another opcode map
        ("62f27d484ed8", None),  # vrsqrt14ps zmm3, zmm0
    ],
)
def test_site(code: str, expected: tuple[int, int] | None) -> None:
    assert patch.site(bytes.fromhex(code).ljust(16, b"\x90")) == expected


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="expected a folder that is prepared"):
        othercpu.environment(tmp_path, "haswell")
    (tmp_path / othercpu.LIBRARY).touch()
    with pytest.raises(InputError, match="no profile 8086; there are native, haswell, "):
        othercpu.environment(tmp_path, "8086")
    with pytest.raises(InputError, match="expected a command"):
        othercpu.main("run", str(tmp_path), "native")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="expected llvm-objdump or objdump"):
        patch.disassembler()
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(InputError, match="expected gcc"):
        othercpu.prepare(tmp_path / "new")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(InputError, match="expected Linux on x86-64, found Linux on aarch64"):
        othercpu.prepare(tmp_path / "new")


def test_a_program_is_on_another_processor(tmp_path: Path) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the program is for Linux on x86-64")
    if not shutil.which("gcc") or not (shutil.which("llvm-objdump") or shutil.which("objdump")):
        pytest.skip("gcc and objdump are not installed")
    if " avx2 " not in profiles.CPUINFO.read_text():
        pytest.skip("this processor has no AVX2")
    program, source = tmp_path / "program", tmp_path / "program.c"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-O1", "-o", program, source], check=True)
    here = subprocess.check_output([program], text=True).splitlines()
    assert patch.patch(program) == (11, 0)
    othercpu.build(tmp_path / othercpu.LIBRARY)
    profiles.write(tmp_path / "profiles")

    def values(lines: list[str]) -> list[float]:
        return [float.fromhex(word) for line in lines[1:] for word in line.split()]

    def run(profile: str, approximations: str = "") -> list[str]:
        environment = othercpu.environment(tmp_path, profile) | {"OTHERCPU_APPROX": approximations}
        return subprocess.check_output([program], text=True, env=environment).splitlines()

    assert run("native", "native") == here
    for profile, vendor in (("haswell", "GenuineIntel"), ("milan", "AuthenticAMD")):
        assert run(profile, "native") == [vendor, *here[1:]]
        found = run(profile)
        assert found[0] == vendor
        assert found[1:] != here[1:]
        assert values(found) == pytest.approx(values(here), rel=2 * 1.5 * 2**-12, abs=0)
    environment = othercpu.environment(tmp_path, "haswell")
    cpuinfo = subprocess.check_output(["cat", "/proc/cpuinfo"], text=True, env=environment)
    assert "E5-2676 v3" in cpuinfo
    assert " avx512f " not in cpuinfo
