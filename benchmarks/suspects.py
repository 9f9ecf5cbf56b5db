"""How many known wrong labels the stage `suspects` finds, after a `dvc repro` on MNIST:
`python -m benchmarks.suspects`.

The known ones are the 15 test images of MNIST of which at most two of five people who were asked agreed with the label:
Northcutt, Athalye, Mueller: Pervasive Label Errors in Test Sets (2021), labelerrors.com, file mturk/mnist_mturk.json of
https://github.com/cleanlab/label-errors at commit 5457895eee26e49187de5c4d6617b9de6f172221.
"""

import json
from pathlib import Path

import benchmarks

KNOWN = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)
SUSPECTS = Path("plots/suspects/suspects.json")


def places(suspects: list[dict[str, str | int | float]]) -> dict[int, int]:
    """Return the place in the list, from 1, of each known wrong label that is among the test images of `suspects`."""
    rows = [suspect["row"] for suspect in suspects if suspect["split"] == "test"]
    return {row: rows.index(row) + 1 for row in KNOWN if row in rows}


def main() -> None:
    """Print and write how many are found."""
    suspects = json.loads(SUSPECTS.read_text())
    found = places(suspects)
    shown = sum(suspect["split"] == "test" for suspect in suspects)
    print(f"{len(found)} of {len(KNOWN)} known wrong labels are among the first {shown} suspects: {found}")
    benchmarks.write("suspects", {"known": len(KNOWN), "shown": shown, "found": found})


if __name__ == "__main__":
    main()
