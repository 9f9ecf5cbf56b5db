"""How many known label errors of MNIST the stage `label_errors` finds, after a `dvc repro` on MNIST:
`python -m benchmarks.label_errors`.

The known errors are the 15 test images of MNIST for which at most two of five human annotators agreed with the label:
Northcutt, Athalye and Mueller, Pervasive Label Errors in Test Sets (2021), labelerrors.com, file
mturk/mnist_mturk.json of https://github.com/cleanlab/label-errors at commit
5457895eee26e49187de5c4d6617b9de6f172221.
"""

from typing import Any

import benchmarks
from pipeline import json_file
from pipeline.label_errors import RESULTS

KNOWN = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)


def ranks(ranked: list[dict[str, Any]]) -> dict[int, int]:
    """Return the rank, from 1, of each known label error that is among the test images in `ranked`."""
    rows = [entry["row"] for entry in ranked if entry["split"] == "test"]
    return {row: rows.index(row) + 1 for row in KNOWN if row in rows}


def main() -> None:
    """Read results/label_errors.json, print and write the ranks of the known errors."""
    ranked = json_file.read(RESULTS)
    found = ranks(ranked)
    top_k = sum(entry["split"] == "test" for entry in ranked)
    print(f"{len(found)} of {len(KNOWN)} known label errors are among the top {top_k} test images: {found}")
    benchmarks.write("label_errors", {"known": len(KNOWN), "top_k": top_k, "found": found})


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.label_errors")
