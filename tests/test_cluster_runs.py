"""Runs on clusters of Dask, for real: a LocalCluster, and a scheduler and workers as separate processes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import Coordinator, dask, stored, wait_until
from harness_runs import HERE, double, run, write_study

import difflab
from difflab.harness import results
from difflab.harness.results import Results

pytestmark = pytest.mark.long

HOWS = ("well", "null", "wrong")


def _study(folder: Path, sizes: str, processes: int) -> Path:
    path = write_study(folder, "".join(map(double, HOWS)), sizes, processes)
    return path


def _outcomes(found: Results) -> dict[str, Any]:
    return {row["case"]: (row["outcome"], row["reason"], row["processes"], row["certified"]) for row in found.rows}


def _once_each(folder: Path, cases: int) -> None:
    """Every case has ended, and what counts was measured once."""
    events = stored(folder)
    ends = [event["case"] for event in events if event["kind"] == "finished"]
    assert len(ends) == len(set(ends)) == cases
    moved = max((place for place, event in enumerate(events) if event["kind"] == "block_moved"), default=0)
    epochs = [(event["case"], event["epoch"]) for event in events[moved:] if event["kind"] == "epoch"]
    assert len(epochs) == len(set(epochs))


def _started(events: list[dict[str, Any]], node: str | None = None) -> list[dict[str, Any]]:
    return [one for one in events if one["kind"] == "started" and node in (None, one.get("node"))]


def _addresses(events: list[dict[str, Any]]) -> list[str]:
    return [event["name"] for event in events if event["kind"] == "node"]


def test_a_local_cluster_finds_what_one_machine_finds_with_all_processes(tmp_path: Path) -> None:
    path = _study(tmp_path, '["tiny"]', processes=6)
    here = run(path, tmp_path / "here")
    assert Coordinator(path, tmp_path / "there", "local:2").end()[0] == 0
    there = results.load(tmp_path / "there")
    assert _outcomes(there) == _outcomes(here)
    _once_each(tmp_path / "there", cases=3)
    assert {row["environment"] for row in there.rows} == {0}  # both workers are this machine
    assert [row["processes"] for row in there.rows if row["outcome"] == "ok"] == [6, 6]
    events = stored(tmp_path / "there")
    assert len(_addresses(events)) == 2
    measured = [event for event in events if event["kind"] in ("checked", "epoch", "sentinel")]
    assert {event["node"] for event in measured} == set(_addresses(events))
    assert all((tmp_path / "there" / data["file"]).exists() for data in there.reference.values())


def test_a_quick_run_measures_each_block_whole_on_one_worker(tmp_path: Path) -> None:
    path = _study(tmp_path, '["tiny", "small"]', processes=1)
    assert Coordinator(path, tmp_path / "run", "local:2", quick=True).end()[0] == 0
    assert [row["outcome"] for row in results.load(tmp_path / "run").rows] == ["ok", "ok", "invalid"] * 2
    nodes: dict[str, set[str]] = {}
    for event in stored(tmp_path / "run"):
        if event["kind"] == "sentinel":
            nodes.setdefault(event["block"], set()).add(event["node"])
    assert sorted(map(len, nodes.values())) == [1, 1]


def _other_environment(folder: Path) -> str:
    """A search path on which one package that computes seems to have another version: as good as another machine."""
    facts = folder / "other" / "optree-99.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: optree\nVersion: 99.0\n")
    return ":".join(map(str, (facts.parent, HERE.parent, HERE)))


def test_a_killed_worker_costs_no_case_and_its_blocks_are_measured_afresh_elsewhere(tmp_path: Path) -> None:
    path = _study(tmp_path, '["tiny", "small"]', processes=3)
    with dask(tmp_path / "dask") as cluster:
        cluster.worker()
        doomed = cluster.worker(PYTHONPATH=_other_environment(tmp_path))
        coordinator = Coordinator(path, tmp_path / "run", cluster.address)
        # the worker that seems to be another machine has its block, has timed it once, and is timing it again
        coordinator.wait_for(lambda events: any(one["kind"] == "epoch" and one["environment"] == 1 for one in events))
        doomed.kill()
        assert coordinator.end()[0] == 0
    nodes = results.load(tmp_path / "run").manifest["nodes"]
    assert sorted(node["number"] for node in nodes) == [0, 1]
    events = stored(tmp_path / "run")
    assert len(_addresses(events)) == 2
    _once_each(tmp_path / "run", cases=6)
    (moved,) = [event for event in events if event["kind"] == "block_moved"]
    found = results.load(tmp_path / "run")
    assert sorted(row["outcome"] for row in found.rows) == sorted(["ok", "ok", "invalid"] * 2)
    timed = [row for row in found.rows if row["outcome"] == "ok"]
    assert {row["environment"] for row in timed} == {0}
    assert {row["processes"] for row in timed} == {3}
    assert set(moved["cases"]) == {row["case"] for row in timed if row["size"] == moved["block"].split()[1]}


def test_kills_of_the_coordinator_and_of_the_scheduler_end_clearly_and_the_run_goes_on_anywhere(tmp_path: Path) -> None:
    path, out = _study(tmp_path, '["tiny", "small"]', processes=2), tmp_path / "run"
    with dask(tmp_path / "dask") as cluster:
        cluster.worker()
        cluster.worker()
        first = Coordinator(path, out, cluster.address)
        first.wait_for(lambda events: _started(events) and cluster.below("cluster.unit") and cluster.below("worker"))
        first.kill()
        wait_until(lambda: not cluster.below("cluster.unit") and not cluster.below("worker"))
        done = len(stored(out))
        second = Coordinator(path, out, cluster.address)
        second.wait_for(lambda events: any(one["kind"] == "checked" for one in events[done:]))
        cluster.scheduler.kill()
        code, last = second.end()
        wait_until(lambda: not cluster.below("cluster.unit") and not cluster.below("worker"))
    assert code == 4
    assert last["type"] == "StoreError"
    assert f"the Dask scheduler at {cluster.address} is gone" in last["text"]
    assert "the same command goes on" in last["text"]
    partial = results.load(out)
    assert not partial.finished
    found = run(path, out)
    assert [row["outcome"] for row in found.rows] == ["ok", "ok", "invalid"] * 2
    assert {row["processes"] for row in found.rows if row["outcome"] == "ok"} == {2}
    _once_each(out, cases=6)
    assert not [event for event in stored(out) if event["kind"] == "block_moved"]  # it was this machine all along


def test_workers_that_cannot_take_part_are_refused_with_the_reason(tmp_path: Path) -> None:
    shutil.copytree(Path(difflab.__file__).parent, tmp_path / "old" / "difflab")
    initial = tmp_path / "old" / "difflab" / "__init__.py"
    initial.write_text(initial.read_text().replace(f'__version__ = "{difflab.__version__}"', '__version__ = "0.0.1"'))
    with dask(tmp_path / "dask") as cluster:
        cluster.worker(PYTHONPATH=f"{tmp_path / 'old'}:{HERE}")
        cluster.worker(PYTHONPATH=str(HERE.parent))
        path = _study(tmp_path, '["tiny"]', processes=1)
        code, last = Coordinator(path, tmp_path / "run", cluster.address).end()
    assert code == 4
    assert f"it has difflab 0.0.1, and this is difflab {difflab.__version__}" in last["text"]
    assert "it lacks problem harness_doubles:SQUARES: module 'harness_doubles'" in last["text"]
    refused = [event for event in stored(tmp_path / "run") if event["kind"] == "node_refused"]
    assert len(refused) == 2
    assert all(event["name"] in last["text"] for event in refused)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://127.0.0.1:1", "--cluster tcp://127.0.0.1:1: no Dask scheduler can be used there ("),
        ("tls://127.0.0.1:1", "perhaps check your TLS configuration"),
        ("local:0", "the number of workers must be from 1 to 64"),
    ],
)
def test_a_bad_address_is_one_sentence_and_leaves_nothing(tmp_path: Path, address: str, told: str) -> None:
    path = _study(tmp_path, '["tiny"]', processes=1)
    code, last = Coordinator(path, tmp_path / "run", address).end()
    assert code == 2
    assert told in last["text"]
    assert "\n" not in last["text"]
    assert not (tmp_path / "run").exists()


def test_without_dask_the_missing_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('there is none here')\n")
    path = _study(tmp_path, '["tiny"]', processes=1)
    shadow = f"{tmp_path}:{HERE.parent}:{HERE}"
    code, last = Coordinator(path, tmp_path / "run", "local:1", PYTHONPATH=shadow).end()
    assert code == 2
    assert "pip install 'difflab[cluster]'" in last["text"]
