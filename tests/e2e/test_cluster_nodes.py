"""What nodes are given and asked, on a real cluster: images, a corpus, and whether they run the same program."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ray_cluster import RayCluster, needs_ray, ray_cluster
from tiny_study import ipaex, wait_for

import ocr_sweep
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.corpus.jobs import BoxJob, GlyphJob, Job, ScanJob, SimulatedJob, make_batches
from ocr_sweep.corpus.scan import Box
from ocr_sweep.disk import read_json
from ocr_sweep.errors import ConflictError, DataError
from ocr_sweep.sweep.cluster.corpora import CorpusName
from ocr_sweep.sweep.cluster.joining import joined
from ocr_sweep.sweep.running.slots import Need, Place
from ocr_sweep.sweep.trials.attempt import PROVENANCE, Attempt

__all__ = ["ray_cluster"]

pytestmark = [pytest.mark.slow, needs_ray]


@pytest.fixture(scope="module")
def cluster(ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """The cluster, joined by this process: from a folder without a package, because nodes look first where the driver is."""
    with contextlib.chdir(tmp_path_factory.mktemp("driver")), joined(ray_cluster.address):
        yield ray_cluster


def jobs_of_all_kinds(folder: Path) -> list[Job]:
    rng = np.random.default_rng(0)
    scans = []
    for number in range(30):
        picture = np.full((40, 40), 230, np.uint8)
        picture[8:30, 10:28] = rng.integers(0, 120, (22, 18))
        scans.append(folder / f"{number}.png")
        Image.fromarray(picture).save(scans[-1])
    scans[7].write_bytes(scans[7].read_bytes()[:120])  # torn
    scans[8].write_bytes(b"no picture")
    scans[9].unlink()
    page = np.full((60, 120), 240, np.uint8)
    page[10:40, 10:40], page[10:40, 60:100] = 20, 40
    Image.fromarray(page).save(folder / "page.png")
    boxes = tuple(Box(x, 5, 45, 45, 3, 50) for x in (5, 58))
    font, chars = ipaex(), "天地玄黄宇宙洪荒"
    return [
        *(GlyphJob(font, 0, char, weight=weight) for char in chars for weight in (0.0, 0.02)),
        *(SimulatedJob(font, 0, char, 0.5, f"simulated {char}") for char in chars),
        *(ScanJob(path, None) for path in scans),
        *(BoxJob(folder / "page.png", boxes, number) for number in range(2)),
    ]


def test_images_made_on_nodes_are_those_made_here(cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocr_sweep.sweep.cluster import making

    monkeypatch.setattr(making, "SMALL", 0)
    monkeypatch.setattr(making, "_CHUNK", 7)
    jobs = jobs_of_all_kinds(tmp_path)
    there, here = list(making.ClusterMaker()(jobs, 32)), list(make_batches(jobs, 32, 1))
    assert len(there) == 8 and sum(map(len, there)) == len(jobs)
    assert b"".join(batch.images.tobytes() for batch in there) == b"".join(batch.images.tobytes() for batch in here)
    starts = np.cumsum([0, *(len(batch) for batch in there)])
    said = {start + i: why for start, batch in zip(starts, there, strict=False) for i, why in batch.unreadable.items()}
    assert said == here[0].unreadable and len(said) == 3, "and what is wrong with a file is said as here"
    held_back = [start + i for start, batch in zip(starts, there, strict=False) for i in batch.held_back]
    assert held_back == list(here[0].held_back)
    drawn = {path for name in ("one", "two") for path in (cluster.scratch(name) / "fonts").iterdir()}
    assert {path.suffix for path in drawn} == {".ttf"}


def test_a_mistake_in_an_image_is_told_as_here(cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocr_sweep.sweep.cluster import making

    monkeypatch.setattr(making, "SMALL", 0)
    blank = [SimulatedJob(ipaex(), 0, " ", 0.5, "blank")]
    with pytest.raises(Exception) as here:
        list(make_batches(blank, 32, 1))
    with pytest.raises(type(here.value)) as there:
        list(making.ClusterMaker()(blank, 32))
    if isinstance(here.value, DataError):
        assert str(there.value) == str(here.value)


def test_each_node_gets_a_corpus_once(
    cluster: RayCluster, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from ocr_sweep.sweep.cluster.nodes import Nodes
    from ocr_sweep.sweep.cluster.supply import Supply

    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_store, "store")
    corpus = dataclasses.replace(
        CorpusName.of(Path("store")), path=Path("/proc/self/cwd/store")
    )  # another folder on each machine
    nodes = Nodes()
    nodes.settle(1)
    supply, found = Supply(), {}
    for machine in nodes.machines():
        node = nodes.named(machine.name)
        assert node is not None
        asked = 0
        while not isinstance(path := supply.path(node, corpus), Path):
            supply.heard(node, corpus, path, ray.get(path))
            asked += 1
        assert asked == 2, "the node had to be asked, and to be sent the corpus"
        found[machine.name] = path
        assert isinstance(supply.path(node, corpus), Path)
    assert sorted(found.values()) == sorted(cluster.scratch(name) / "corpora" / corpus.fingerprint for name in ("one", "two"))
    for path in found.values():
        assert (path / "images.npy").read_bytes() == (tiny_store / "images.npy").read_bytes()
    again, node = Supply(), nodes.named(nodes.machines()[0].name)
    assert node is not None
    assert ray.get(again.path(node, corpus)) == found[node.name], "the next study finds it"


def test_a_node_with_another_program_is_refused_also_when_it_comes_late(cluster: RayCluster, tmp_path: Path) -> None:
    from ocr_sweep.sweep.cluster.nodes import Nodes

    nodes = Nodes()
    nodes.settle(1)
    assert len(nodes.machines()) == 2 and all(machine.cores == 1 for machine in nodes.machines())
    package = Path(ocr_sweep.__file__).parent
    shutil.copytree(package, tmp_path / "ocr_sweep", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "ocr_sweep" / "errors.py").open("a") as file:
        file.write("# another program\n")
    cluster.start_node("other", PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    try:
        with pytest.raises(
            ConflictError, match=r"node .* differs from this one: code is \w{12} there and \w{12} here; install"
        ) as late:
            wait_for(lambda: len(nodes.machines()) == 3, "the node to be refused")
        assert late.value.exit_code == 5
        with pytest.raises(ConflictError, match="code is"):
            Nodes().settle(1)
    finally:
        cluster.kill("other")
    wait_for(lambda: len(Nodes()._living_nodes()) == 2, "its loss to be noticed")


def test_what_a_trial_reads_beside_its_corpus_goes_with_it(
    cluster: RayCluster, make_trial: Callable[..., TrialConfig], tiny_store: Path, tmp_path: Path
) -> None:
    from ocr_sweep.sweep.cluster.engine import RayEngine

    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "alike.txt"
    table.write_text("一\t二\t1.0\n日\t田\t0.5\n", encoding="utf-8")
    similarity = {"source": "file", "file": {"file": "tables/alike.txt", "sha256": file_sha256(table)}}
    config = make_trial({"loss.similarity": similarity, "training.epochs": 1})
    attempt = Attempt(tmp_path / "work" / "0000-search")
    attempt.prepare(config, tiny_store, {"code": {"sha256": "0" * 64}, "machine": {}})
    engine = RayEngine(timm=False, data=tmp_path)
    engine.settle(1)
    try:
        attempt.begin()
        worker = engine.start(attempt, Place(engine.machines()[0].name), Need(cores=1))
        wait_for(lambda: engine.wait([worker], 1.0) or worker.exit_code is not None, "the trial to end", 120)
        assert attempt.outcome() == ("complete", ""), attempt.log.read_text()
        attempt.sealed()
        assert read_json(attempt.result / PROVENANCE)["machine"]["cores"], "the record names the machine that trained"
    finally:
        engine.close()
