"""Command: compare the results of numerical kernels with those on other processors:
`python -m pipeline.commands.fingerprints`.

It runs every kernel that the pipeline uses, at its shapes, with its restrictions and number of threads, and compares a
hash of each result with the records in docs/fingerprints. With `--record` it adds this kind of processor to them. The
exit code is 1 if a kernel differs. ONNX Runtime, which cannot be restricted to an instruction set, is only reported.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.commands.fingerprints")

import argparse
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from pipeline import json_file, params
from pipeline.fingerprints import records
from pipeline.fingerprints.kernels import Kernel, kernels
from pipeline.fingerprints.records import Record


def measure(processor: dict[str, Any], found: list[Kernel], threads: int) -> Iterator[Record]:
    """Yield the fingerprints of the first one, two, ... of the kernels `found` on `processor`."""
    torch.set_num_threads(threads)
    entries: records.Kernels = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small versions of the models do not converge
        for kernel in track(found, "fingerprints", transient=True):
            entries[kernel.name] = {
                "definition": kernel.definition(),
                "fingerprint": kernel.fingerprint(),
                "restricted": kernel.restricted,
                "stages": list(kernel.stages),
            }
            yield Record(processor, threads, records.versions(), entries)


def report(here: Record, others: dict[str, Record]) -> int:
    """Print the fingerprints of `here`, and the differences from `others`; return 1 if a restricted kernel differs."""
    for name, entry in here.kernels.items():
        print(entry["fingerprint"], name)
    skipped = [name for name, other in others.items() if not here.comparable(other)]
    compared = len(others) - len(skipped)
    differences = records.compare(here, others)
    print(f"\n{len(here.kernels)} kernels, compared with {compared} records in {records.FOLDER}.")
    if skipped:
        print(f"Other versions or threads, not compared: {', '.join(skipped)}.")
    if missing := records.unrecorded(here, others.values()):
        print(
            f"{len(missing)} kernels are in no record. To add them: python -m pipeline.commands.fingerprints --record"
        )
    for difference in differences:
        print(f"{'' if difference.restricted else 'As expected, '}{difference}")
    wrong = sum(difference.restricted for difference in differences)
    print(f"{wrong} kernels differ." if wrong else "No kernel differs that the pipeline restricts.")
    return int(wrong > 0)


def main(*arguments: str) -> None:
    """Run the kernels, print or record their fingerprints, and compare them."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commands.fingerprints",
        description="Compare the results of numerical kernels with those on other processors.",
    )
    parser.add_argument("--record", action="store_true", help=f"add this kind of processor to {records.FOLDER}")
    parser.add_argument("--emulator", help="that this runs in, with its version; what is recorded is not run again")
    parser.add_argument("--output", type=Path, help="also write the results to this JSON file")
    parser.add_argument(
        "--restricted", action="store_true", help="leave out ONNX Runtime, whose export takes long in an emulator"
    )
    options = parser.parse_args(arguments)

    settings = params.load()
    found = [kernel for kernel in kernels(settings) if kernel.restricted or not options.restricted]
    if options.emulator:
        processor = records.emulated_processor(options.emulator, torch.cpu.get_capabilities())
    else:
        processor = records.this_processor()
    here = Record(processor, settings.runtime.threads, records.versions(), {})
    earlier = records.load().get(records.file_name(processor)) if options.emulator else None
    if earlier and earlier.comparable(here):
        known = {name: entry["definition"] for name, entry in earlier.kernels.items()}
        found = [kernel for kernel in found if known.get(kernel.name) != kernel.definition()]
    for here in measure(processor, found, settings.runtime.threads):
        if options.emulator and options.record:  # an emulator takes long, and may crash
            records.save(records.joined(earlier, here))
    code = report(here, records.load())
    if options.record:
        print(f"written: {records.save(records.joined(earlier, here))}")
    if options.output:
        json_file.write(options.output, asdict(here))
    sys.exit(code)
