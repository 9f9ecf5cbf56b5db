"""Records of fingerprints in docs/fingerprints, one file per kind of processor, and comparisons with them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from digits.errors import InputError
from pipeline import json_file

FOLDER = Path("docs/fingerprints")
CPUINFO, CACHES = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache")
LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "scikit-learn", "scipy", "torch")
INSTRUCTION_SETS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse4_2": "SSE4.2"}  # the widest first

Kernels = dict[str, dict[str, Any]]  # by name: definition, fingerprint, restricted, stages


@dataclass(frozen=True)
class Record:
    """What was computed on one kind of processor.

    Attributes:
        processor: what `this_processor` or `emulated_processor` returns.
        threads: of torch.
        versions: of the libraries.
        kernels: by name, with definition and fingerprint.
    """

    processor: dict[str, Any]
    threads: int
    versions: dict[str, str]
    kernels: Kernels

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes by name; of each kernel "definition fingerprint"."""
        kernels = {name: f"{entry['definition']} {entry['fingerprint']}" for name, entry in self.kernels.items()}
        return asdict(self) | {"kernels": kernels}

    def comparable(self, other: "Record") -> bool:
        """Return whether threads and versions are the same."""
        return (self.threads, self.versions) == (other.threads, other.versions)


@dataclass(frozen=True)
class Difference:
    """A kernel with another result than on other processors.

    Attributes:
        kernel: its name.
        records: names of the records with another fingerprint.
        restricted: whether the pipeline's settings should prevent that.
        stages: whose outputs depend on it.
    """

    kernel: str
    records: tuple[str, ...]
    restricted: bool
    stages: tuple[str, ...]

    def __str__(self) -> str:
        """Return a sentence."""
        return f"{self.kernel} differs from {', '.join(self.records)}. Depending on it: {', '.join(self.stages)}."


def load(folder: Path = FOLDER) -> dict[str, Record]:
    """Return the records in `folder` by file name without suffix.

    Raises:
        InputError: a file is not a record.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def _read(path: Path) -> Record:
    try:
        content = json_file.read(path)
        kernels = {
            name: dict(zip(("definition", "fingerprint"), text.split(), strict=True))
            for name, text in content["kernels"].items()
        }
        return Record(**content | {"kernels": kernels})
    except (ValueError, KeyError, TypeError, AttributeError):
        advice = "Restore it with `git checkout docs/fingerprints`."
        raise InputError(f"{path}: expected a record of fingerprints, found something else. {advice}") from None


def save(record: Record, folder: Path = FOLDER) -> Path:
    """Write `record` to a file named after its processor, and return the path."""
    path = folder / f"{file_name(record.processor)}.json"
    json_file.write(path, record.to_dict())
    return path


def joined(earlier: Record | None, later: Record) -> Record:
    """Return `later` with the kernels that only `earlier` has, if both can be compared."""
    if not earlier or not earlier.comparable(later):
        return later
    return replace(later, kernels=earlier.kernels | later.kernels)


def file_name(processor: Mapping[str, Any]) -> str:
    """Return the name of the record of `processor`, without suffix: amd-epyc-family-26-model-2."""
    words = re.sub(r"\((R|TM)\)|@.*|\bCPU\b", "", str(processor["model_name"]))
    if processor["emulator"]:
        words = f"{processor['emulator']} {words}"
    else:
        words += f" family {processor['family']} model {processor['model']}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def compare(here: Record, others: Mapping[str, Record]) -> list[Difference]:
    """Return the kernels of `here` whose fingerprint is not the one in each of `others` that is comparable."""
    found = []
    for name, entry in here.kernels.items():
        names = tuple(other for other in others if _differs(entry, here, others[other], name))
        if names:
            found.append(Difference(name, names, entry["restricted"], tuple(entry["stages"])))
    return found


def _differs(entry: Mapping[str, Any], here: Record, other: Record, name: str) -> bool:
    known = other.kernels.get(name, {})
    return (
        here.comparable(other)
        and known.get("definition") == entry["definition"]
        and known["fingerprint"] != entry["fingerprint"]
    )


def unrecorded(here: Record, others: Iterable[Record]) -> list[str]:
    """Return the kernels of `here` that none of `others` can be compared with."""
    known = {
        (name, entry["definition"])
        for other in others
        if here.comparable(other)
        for name, entry in other.kernels.items()
    }
    return [name for name, entry in here.kernels.items() if (name, entry["definition"]) not in known]


def versions() -> dict[str, str]:
    """Return the versions of the libraries that compute."""
    return {name: version(name) for name in LIBRARIES}


def this_processor(cpuinfo: Path = CPUINFO, caches: Path = CACHES) -> dict[str, Any]:
    """Return make, model and family of this processor, its widest instruction set, and its caches in KiB."""
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    words = set(_field(text, "flags").split())
    return {
        "emulator": None,
        "make": _field(text, "vendor_id"),
        "model_name": _field(text, "model name"),
        "family": _number(_field(text, "cpu family")),
        "model": _number(_field(text, "model")),
        "stepping": _number(_field(text, "stepping")),
        "instruction_set": next((name for flag, name in INSTRUCTION_SETS.items() if flag in words), "unknown"),
        "caches_kib": _caches(caches),
    }


def emulated_processor(emulator: str, capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of an emulated processor, as far as it is known; Linux shows the real one in /proc.

    Args:
        emulator: its name and version.
        capabilities: what `torch.cpu.get_capabilities` returns, from the CPUID instruction.
    """
    flags = {"avx512_f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse4_2": "SSE4.2"}
    name = str(capabilities["cpu_name"])
    return {
        "emulator": emulator,
        "make": "AuthenticAMD" if "AMD" in name else "GenuineIntel",
        "model_name": name,
        "family": None,
        "model": None,
        "stepping": None,
        "instruction_set": next((flags[flag] for flag in flags if capabilities.get(flag)), "unknown"),
        "caches_kib": {
            level: int(capabilities.get(f"{level.lower()}_cache_size") or 0) // 1024 for level in ("L1d", "L2")
        },
    }


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _caches(folder: Path) -> dict[str, int]:
    """Return the size in KiB of each cache of the first core: L1d, L1i, L2, L3."""
    found = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
        found[f"L{level}{suffix}"] = int(size.removesuffix("K")) if size.endswith("K") else int(size[:-1]) * 1024
    return found
