import networkx as nx
import pytest

from benchmarks import cost, draw


def test_the_cost_of_stages_is_found() -> None:
    truth = cost.Costs(cost.Cost(2.0, 0.01, 3e-9), cost.Cost(1.0, 0.002, 0.0))
    exchanged = {f"stage{n}": (n % 7, 10_000_000 * n**3) for n in range(9)}
    stages = {
        name: {"seconds": 5.0, "moved": truth.worker.of(*moved), "total": 5.0 + sum(part.of(*moved) for part in truth)}
        for name, moved in exchanged.items()
    }
    found = cost.fit([{"stages": stages, "exchanged": exchanged}])
    assert found.worker == pytest.approx(truth.worker)
    assert found.coordinator == pytest.approx(truth.coordinator, abs=1e-12)
    assert found.worker.of(10, 10**9) == pytest.approx(2 + 0.1 + 3)


def test_workers_take_the_longest_way_first() -> None:
    graph = nx.DiGraph([("a", "b"), ("a", "c"), ("a", "d"), ("b", "e")])
    seconds, nothing = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 3.0, "e": 3.0}, dict.fromkeys("abcde", 0.0)
    assert cost.wall_time(graph, seconds, nothing, 1) == 13
    assert cost.wall_time(graph, seconds, nothing, 2) == 1 + 2 + 3 + 2  # b, e beside c, d: d waits until c has ended
    assert cost.wall_time(graph, seconds, nothing, 3) == 1 + 5  # the longest chain


def test_the_coordinator_serves_one_stage_at_a_time() -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from("abcd")
    seconds, after = dict.fromkeys("abcd", 10.0), dict.fromkeys("abcd", 2.0)
    assert cost.wall_time(graph, seconds, after, 4) == 10 + 4 * 2
    assert cost.wall_time(graph, seconds, after, 1) == 4 * 12


def test_stages_follow_those_whose_outputs_they_read() -> None:
    lock = {
        "stages": {
            "report": {"outs": [], "deps": [{"path": "models/a/x.onnx"}]},
            "train": {"outs": [{"path": "models/a"}], "deps": [{"path": "data/prepared"}]},
            "preprocess": {"outs": [{"path": "data/prepared/train"}], "deps": [{"path": "pipeline/preprocess.py"}]},
        }
    }
    assert set(cost.graph_of(lock).edges) == {("preprocess", "train"), ("train", "report")}


def test_predictions_are_drawn() -> None:
    predicted = {"1": 100.0, "2": 55.0, "100": 30.0}
    (axes,) = draw.scaling({"mnist": {"seconds": 60.0, "predicted_seconds": predicted}}).axes
    line, measured = axes.get_lines()
    assert list(line.get_ydata()) == [100, 55, 30]
    assert (measured.get_xdata()[0], measured.get_ydata()[0]) == (2, 60)


def test_seconds_per_image_come_from_the_largest_difference() -> None:
    runs = {number: {"augment": {"seconds": seconds}} for number, seconds in (("19", 21.0), ("1", 3.0), ("9", 9.0))}
    runs["19"]["evaluate"] = {"seconds": 5.0}  # measured once: nothing is known
    assert cost.seconds_per_image(runs) == {"augment": pytest.approx(18 / (18 * 55_000))}
