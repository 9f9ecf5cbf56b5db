import pytest
from dvc.repo import Repo

from pipeline.commands import quickstart
from tests.conftest import ROOT


@pytest.mark.parametrize("change", quickstart.PARAMS)
def test_every_changed_parameter_exists(change: str) -> None:
    with Repo(str(ROOT)) as repo:
        node = repo.params.show()[""]["data"]["params.yaml"]["data"]
    for part in change.removeprefix("~").partition("=")[0].split("."):
        assert part in node
        node = node[part]


def test_each_stage_is_one_line_and_the_output_of_report_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["Running stage 'train@svm':", "> python -m pipeline.train svm", "models/svm", "Generating lock file"]
    lines += ["Running stage 'report':", "> python -m pipeline.report", "table", "winner: svm", "Updating lock file"]
    assert quickstart.follow(iter(f"{line}\n" for line in lines)) == ["table", "winner: svm"]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["train@svm", "report"]
    assert all(len(line) <= 80 and line.endswith(" s") for line in printed)
