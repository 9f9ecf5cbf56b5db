import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from digits.errors import InputError
from pipeline.fingerprints import records
from pipeline.fingerprints.records import Record
from tests.conftest import ROOT

AMD = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu sse4_2 avx avx2 avx512f
"""
INTEL = """vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
stepping\t: 7
flags\t\t: fpu sse4_2 avx avx2
"""


def record(fingerprint: str = "f" * 16, definition: str = "d" * 8, **changes: Any) -> Record:
    entry = {"definition": definition, "fingerprint": fingerprint, "restricted": True, "stages": ["train@cnn"]}
    processor = {"emulator": None, "model_name": "AMD EPYC", "family": 26, "model": 2}
    return dataclasses.replace(Record(processor, 2, {"torch": "2"}, {"sqrt": entry}), **changes)


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    path = records.save(record(), tmp_path)
    assert path.name == "amd-epyc-family-26-model-2.json"
    found = records.load(tmp_path)["amd-epyc-family-26-model-2"]
    assert found.kernels == {"sqrt": {"definition": "d" * 8, "fingerprint": "f" * 16}}
    assert (found.processor, found.threads, found.versions) == (record().processor, 2, {"torch": "2"})
    assert records.compare(record(), {"a": found}) == []


@pytest.mark.parametrize("content", ["3", "{}", '{"kernels": {"a": "b"}}', '{"kernels": {}}', "{"])
def test_a_damaged_record_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "amd.json").write_text(content)
    with pytest.raises(InputError, match=r"amd\.json: expected a record of fingerprints"):
        records.load(tmp_path)


def test_a_kernel_with_another_fingerprint_is_found_with_its_stages() -> None:
    others = {"same": record(), "other": record("0" * 16), "another": record("1" * 16)}
    (found,) = records.compare(record(), others)
    assert str(found) == "sqrt differs from other, another. Depending on it: train@cnn."
    assert found.restricted


def test_kernels_of_other_code_versions_or_threads_are_not_compared() -> None:
    for other in (
        record("0" * 16, definition="e" * 8),
        record("0" * 16, threads=1),
        record("0" * 16, versions={"torch": "3"}),
        record(kernels={}),
    ):
        assert records.compare(record(), {"other": other}) == []
        assert records.unrecorded(record(), [other]) == ["sqrt"]
    assert records.unrecorded(record(), [record("0" * 16)]) == []


def test_a_record_is_continued_if_it_can_be_compared() -> None:
    earlier = record("0" * 16)
    earlier.kernels["tan"] = earlier.kernels["sqrt"]
    found = records.joined(earlier, record())
    assert {name: entry["fingerprint"] for name, entry in found.kernels.items()} == {"sqrt": "f" * 16, "tan": "0" * 16}
    assert records.joined(earlier, record(threads=1)).kernels == record().kernels
    assert records.joined(None, record()) == record()


def test_processors_are_described(tmp_path: Path) -> None:
    for number, (level, kind, size) in enumerate([(1, "Data", "48K"), (2, "Unified", "1024K"), (3, "Unified", "32M")]):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, value in {"level": level, "type": kind, "size": size}.items():
            (folder / name).write_text(f"{value}\n")
    (tmp_path / "amd").write_text(AMD)
    (tmp_path / "intel").write_text(INTEL)
    amd = records.this_processor(tmp_path / "amd", tmp_path)
    assert amd == {
        "emulator": None,
        "make": "AuthenticAMD",
        "model_name": "AMD EPYC",
        "family": 26,
        "model": 2,
        "stepping": 1,
        "instruction_set": "AVX-512",
        "caches_kib": {"L1d": 48, "L2": 1024, "L3": 32768},
    }
    intel = records.this_processor(tmp_path / "intel", tmp_path / "none")
    assert (intel["instruction_set"], intel["caches_kib"]) == ("AVX2", {})
    assert records.file_name(intel) == "intel-xeon-platinum-8259cl-family-6-model-85"
    assert records.this_processor(tmp_path / "none", tmp_path / "none")["make"] == "unknown"


def test_emulated_processors_are_described_by_what_they_pretend_to_be() -> None:
    known = {"cpu_name": "AMD EPYC-Milan", "avx512_f": False, "avx2": True, "avx": True, "l1d_cache_size": 32768}
    found = records.emulated_processor("QEMU 7.2", known)
    assert (found["make"], found["instruction_set"]) == ("AuthenticAMD", "AVX2")
    assert found["caches_kib"] == {"L1d": 32, "L2": 0}
    assert records.file_name(found) == "qemu-7-2-amd-epyc-milan"


def test_committed_records_agree_where_they_can_be_compared() -> None:
    committed = records.load(ROOT / records.FOLDER)
    assert [found for found in committed.values() if not found.processor["emulator"]]
    for name, found in committed.items():
        assert records.file_name(found.processor) == name
        assert all(re.fullmatch("[0-9a-f]{16}", entry["fingerprint"]) for entry in found.kernels.values())
        free = {kernel for kernel in found.kernels if kernel.startswith("ONNX Runtime")}
        entries = {
            kernel: {**entry, "restricted": True, "stages": []}
            for kernel, entry in found.kernels.items()
            if kernel not in free
        }
        assert records.compare(dataclasses.replace(found, kernels=entries), committed) == []
