"""Seven processors of x86-64 servers, and what CPUID and the system tell about them.

The values are published ones, of virtual machines with two logical processors. Only the registers that numerical
libraries read are there: make, model, instruction sets, caches, topology.
"""

import re
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path

Registers = tuple[int, int, int, int]  # eax, ebx, ecx, edx

INTEL, AMD = "GenuineIntel", "AuthenticAMD"
CPUINFO = Path("/proc/cpuinfo")
KINDS = (("Data", 1), ("Instruction", 1), ("Unified", 2), ("Unified", 3))  # kind and level of each cache
CODES = {"Data": 1, "Instruction": 2, "Unified": 3}
SYSCONF_CACHES = 185  # the first of the names by which sysconf of glibc tells sizes of caches

# Names in /proc/cpuinfo of the bits of registers, by leaf, subleaf and register (0: eax).
FLAGS: dict[tuple[int, int, int], dict[str, int]] = {
    (1, 0, 2): {
        **{"pni": 0, "pclmulqdq": 1, "ssse3": 9, "fma": 12, "cx16": 13, "pcid": 17, "sse4_1": 19, "sse4_2": 20},
        **{"x2apic": 21, "movbe": 22, "popcnt": 23, "tsc_deadline_timer": 24, "aes": 25, "xsave": 26, "osxsave": 27},
        **{"avx": 28, "f16c": 29, "rdrand": 30, "hypervisor": 31},
    },
    (7, 0, 1): {
        **{"fsgsbase": 0, "tsc_adjust": 1, "bmi1": 3, "avx2": 5, "smep": 7, "bmi2": 8, "erms": 9, "invpcid": 10},
        **{"mpx": 14, "avx512f": 16, "avx512dq": 17, "rdseed": 18, "adx": 19, "smap": 20, "avx512ifma": 21},
        **{"clflushopt": 23, "clwb": 24, "avx512cd": 28, "sha_ni": 29, "avx512bw": 30, "avx512vl": 31},
    },
    (7, 0, 2): {
        **{"avx512vbmi": 1, "umip": 2, "pku": 3, "ospke": 4, "avx512_vbmi2": 6, "gfni": 8, "vaes": 9},
        **{"vpclmulqdq": 10, "avx512_vnni": 11, "avx512_bitalg": 12, "avx512_vpopcntdq": 14, "rdpid": 22},
    },
    (7, 0, 3): {"fsrm": 4, "serialize": 14, "amx_bf16": 22, "avx512_fp16": 23, "amx_tile": 24, "amx_int8": 25},
    (7, 1, 0): {"avx_vnni": 4, "avx512_bf16": 5},
    (0x80000001, 0, 2): {
        **{"lahf_lm": 0, "cmp_legacy": 1, "cr8_legacy": 4, "abm": 5, "sse4a": 6, "misalignsse": 7},
        **{"3dnowprefetch": 8, "osvw": 9, "topoext": 22},
    },
}


def _names(text: str) -> set[str]:
    return set(text.split())


BASIC = _names(  # of all processors here; constants below have their bits
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx "
    "pdpe1gb rdtscp lm constant_tsc rep_good nopl cpuid tsc_known_freq xsaveopt xsavec xgetbv1 xsaves arat"
)
COMMON = FLAGS[1, 0, 2].keys() | _names("lahf_lm abm fsgsbase bmi1 avx2 smep bmi2")
HASWELL = COMMON | _names("tsc_adjust erms invpcid")
AVX512 = _names("avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni")
AVX512_ICELAKE = _names("avx512ifma avx512vbmi avx512_vbmi2 avx512_bitalg avx512_vpopcntdq gfni vaes vpclmulqdq")
LATER = _names("3dnowprefetch rdseed adx smap clflushopt clwb")
CASCADE_LAKE = HASWELL | LATER | AVX512 | _names("mpx pku ospke")
ICE_LAKE = CASCADE_LAKE - {"mpx"} | AVX512_ICELAKE | _names("sha_ni umip rdpid fsrm")
SAPPHIRE_RAPIDS = ICE_LAKE | _names("avx_vnni avx512_bf16 avx512_fp16 serialize amx_bf16 amx_tile amx_int8")
ROME = COMMON | LATER | _names("cmp_legacy cr8_legacy sse4a misalignsse osvw topoext sha_ni umip rdpid")
MILAN = ROME | _names("invpcid erms pku ospke vaes vpclmulqdq fsrm")
GENOA = MILAN | AVX512 | AVX512_ICELAKE | {"avx512_bf16"}


@dataclass(frozen=True)
class Processor:
    """What a processor says about itself.

    Attributes:
        flags: instruction sets, named as in /proc/cpuinfo.
        caches: KiB and ways of the caches for data and instructions, and of levels 2 and 3.
        highest: the highest leaf of CPUID.
    """

    vendor: str
    family: int
    model: int
    stepping: int
    name: str
    flags: Set[str]
    caches: tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
    highest: int


PROCESSORS = {
    "haswell": Processor(
        *(INTEL, 6, 63, 2, "Intel(R) Xeon(R) CPU E5-2676 v3 @ 2.40GHz"),
        *(HASWELL, ((32, 8), (32, 8), (256, 8), (30_720, 20)), 0xD),
    ),
    "cascadelake": Processor(
        *(INTEL, 6, 85, 7, "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"),
        *(CASCADE_LAKE, ((32, 8), (32, 8), (1_024, 16), (36_608, 11)), 0x16),
    ),
    "icelake": Processor(
        *(INTEL, 6, 106, 6, "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"),
        *(ICE_LAKE, ((48, 12), (32, 8), (1_280, 20), (55_296, 12)), 0x1B),
    ),
    "sapphirerapids": Processor(
        *(INTEL, 6, 143, 8, "Intel(R) Xeon(R) Platinum 8488C"),
        *(SAPPHIRE_RAPIDS, ((48, 12), (32, 8), (2_048, 16), (107_520, 15)), 0x1F),
    ),
    "rome": Processor(
        *(AMD, 23, 49, 0, "AMD EPYC 7R32", ROME, ((32, 8), (32, 8), (512, 8), (16_384, 16)), 0x10),
    ),
    "milan": Processor(
        *(AMD, 25, 1, 1, "AMD EPYC 7R13 Processor", MILAN, ((32, 8), (32, 8), (512, 8), (32_768, 16)), 0x10),
    ),
    "genoa": Processor(
        *(AMD, 25, 17, 1, "AMD EPYC 9R14", GENOA, ((32, 8), (32, 8), (1_024, 8), (32_768, 16)), 0x10),
    ),
}


def leaves(processor: Processor) -> Iterator[tuple[int, int | None, Registers]]:
    """Yield leaf, subleaf (None: any) and registers of CPUID; all others are zero."""
    p, vendor = processor, _registers(processor.vendor)
    intel, highest = p.vendor == INTEL, 0x80000008 if p.vendor == INTEL else 0x8000001F
    sizes = list(_caches(p))

    def flags(leaf: int, sub: int, register: int) -> int:
        return sum(1 << bit for name, bit in FLAGS[leaf, sub, register].items() if name in p.flags)

    yield 0, None, (p.highest, vendor[0], vendor[2], vendor[1])
    yield 1, None, (_signature(p), 0x20800, flags(1, 0, 2), 0x1F8BFBFF if intel else 0x178BFBFF)
    yield 6, None, (4, 0, 0, 0)
    more = flags(7, 1, 0)
    yield 7, 0, (int(more > 0), flags(7, 0, 1), flags(7, 0, 2), flags(7, 0, 3))
    yield 7, 1, (more, 0, 0, 0)
    for leaf in (0xB, 0x1F):  # topology: one thread a core, two cores
        if leaf <= p.highest:
            yield leaf, 0, (0, 1, 0x100, 0)
            yield leaf, 1, (1, 2, 0x201, 0)
            yield from ((leaf, sub, (0, 0, sub, 0)) for sub in (2, 3))
    yield 0x80000000, None, (highest, *((0, 0, 0) if intel else (vendor[0], vendor[2], vendor[1])))
    for number in range(3):
        yield 0x80000002 + number, None, _registers(p.name.ljust(48, "\0")[16 * number :][:16])
    yield 0x80000007, None, (0, 0, 0, 0x100)
    level2, level3 = p.caches[2], p.caches[3]
    ways = 6 if level2[1] == 8 else 8  # codes of 8, and of 16 to 31
    if intel:
        yield 2, None, (0x76036301, 0xF0B5FF, 0, 0xC30000)  # FF: see leaf 4
        yield from ((4, sub, registers) for sub, registers in enumerate(sizes))
        if p.highest >= 0x16:
            yield 0x16, None, (2_500, 3_500, 100, 0)  # MHz
        yield 0x80000001, None, (0, 0, flags(0x80000001, 0, 2), 0x2C100800)
        yield 0x80000006, None, (0, 0, level2[0] << 16 | ways << 12 | 64, 0)
        yield 0x80000008, None, (0x302E, 0, 0, 0)
    else:
        yield 0x80000001, None, (_signature(p), 0x40000000, flags(0x80000001, 0, 2), 0x2FD3FBFF)
        yield 0x80000005, None, (0xFF40FF40, 0xFF40FF40, 0x20080140, 0x20080140)
        lines = (level2[0] << 16 | ways << 12 | 0x140, level3[0] // 512 << 18 | 0x9140)
        yield 0x80000006, None, (0x48002200, 0x68004200, *lines)
        yield 0x80000008, None, (0x303030, 0, 0x7001, 0)
        yield 0x8000001A, None, (6, 0, 0, 0)
        yield from ((0x8000001D, sub, registers) for sub, registers in enumerate(sizes))
        yield 0x8000001E, None, (0, 0, 0, 0)


def _registers(text: str) -> Registers:
    """Return up to 16 characters as four registers."""
    first, second, third, fourth = struct.unpack("<4I", text.encode().ljust(16, b"\0"))
    return first, second, third, fourth


def _signature(processor: Processor) -> int:
    family, model = min(processor.family, 15), processor.model
    extended = (processor.family - family) << 20 | model >> 4 << 16
    return extended | family << 8 | (model & 15) << 4 | processor.stepping


def _caches(processor: Processor) -> Iterator[Registers]:
    """Yield the registers of each cache: those of leaf 4 of Intel, or of leaf 0x8000001d of AMD."""
    intel = processor.vendor == INTEL
    for (kind, level), (kib, ways) in zip(KINDS, processor.caches, strict=True):
        shared = 1 << 14 if level == 3 else 0  # by two logical processors
        eax = CODES[kind] | level << 5 | 1 << 8 | shared | intel << 26
        yield eax, (ways - 1) << 22 | 63, kib * 1_024 // (64 * ways) - 1, 4 if intel and level == 3 else 0


def write(folder: Path) -> None:
    """Write all processors to `folder`, without instruction sets that the real processor lacks."""
    match = re.search(r"^flags\s*: (.*)", CPUINFO.read_text(), re.MULTILINE)
    real = {*(match[1].split() if match else ()), "osxsave"}  # Linux does not list it
    for name, processor in PROCESSORS.items():
        possible = replace(processor, flags=real.intersection(processor.flags))
        cache = folder / name / "cache"
        cache.mkdir(parents=True)
        (folder / name / "cpuid").write_text(_cpuid(possible))
        (folder / name / "cpuinfo").write_text("\n".join(_cpuinfo(possible, number) for number in range(2)))
        (folder / name / "tunables").write_text(_tunables(possible))
        for index, ((kind, level), (kib, ways)) in enumerate(zip(KINDS, processor.caches, strict=True)):
            values = {"type": kind, "level": level, "size": f"{kib}K", "ways_of_associativity": ways}
            values |= {"coherency_line_size": 64, "number_of_sets": kib * 16 // ways, "physical_line_partition": 1}
            (cache / f"index{index}").mkdir()
            for file, value in values.items():
                (cache / f"index{index}" / file).write_text(f"{value}\n")


def _cpuid(processor: Processor) -> str:
    """Return the lines that othercpu.c reads."""
    lines = []
    for leaf, sub, registers in leaves(processor):
        lines.append(
            " ".join([f"{leaf:x}", "*" if sub is None else f"{sub:x}", *(f"{each:08x}" for each in registers)])
        )
    data, instructions, *others = processor.caches
    values = [value for kib, ways in (instructions, data, *others) for value in (kib * 1_024, ways, 64)]
    lines += [f"sysconf {SYSCONF_CACHES + i} {value}" for i, value in enumerate(values)]
    return "\n".join(lines) + "\n"


def _cpuinfo(processor: Processor, number: int) -> str:
    """Return what /proc/cpuinfo says about one of the two logical processors."""
    flags = [
        *sorted(BASIC),
        *(name for table in FLAGS.values() for name in table if name in processor.flags - {"osxsave"}),
    ]
    lines = {
        **{"processor": number, "vendor_id": processor.vendor, "cpu family": processor.family},
        **{"model": processor.model, "model name": processor.name, "stepping": processor.stepping},
        **{"cpu MHz": "2500.000", "cache size": f"{processor.caches[3][0]} KB", "physical id": 0, "siblings": 2},
        **{"core id": number, "cpu cores": 2, "apicid": number, "fpu": "yes", "cpuid level": processor.highest},
        **{"flags": " ".join(flags), "clflush size": 64, "cache_alignment": 64},
    }
    return "".join(f"{name}\t: {value}\n" for name, value in lines.items())


def _tunables(processor: Processor) -> str:
    """Return the setting that hides AVX-512 from glibc, whose loader uses CPUID itself."""
    names = ("avx512f", "avx512dq", "avx512bw", "avx512cd", "avx512vl", "erms")
    hidden = [f"-{name.upper()}" for name in names if name not in processor.flags]
    return f"glibc.cpu.hwcaps={','.join(hidden)}" if hidden else ""
