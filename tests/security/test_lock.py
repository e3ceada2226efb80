"""The lock of the environment: one file for each package, by its hash, of the versions that are tested."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HASHED = re.compile(r"([a-z0-9._-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


def requirements(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_locked_to_one_file_of_the_version_that_is_tested() -> None:
    tested = {plain(name): version for name, _, version in (line.partition("==") for line in requirements("constraints.txt"))}
    locked = [HASHED.fullmatch(line) for line in requirements("requirements.lock")]
    assert all(locked), "a requirement without a hash"
    versions = {plain(match[1]): match[2] for match in locked if match}
    assert len(versions) == len(locked) > 100
    built_with = {"setuptools"}  # no requirement of the program, but of its installation
    assert versions.keys() - tested.keys() == built_with
    assert {name: tested[name] for name in versions.keys() - built_with} == {
        name: versions[name] for name in versions.keys() - built_with
    }


def test_the_lock_is_what_pip_would_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("write_lock", ROOT / "tools" / "write_lock.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    packages = [("Torch", "2.13.0+cpu", "a" * 64), ("attrs", "26.1.0", "b" * 64)]
    install = [
        {"metadata": {"name": name, "version": version}, "download_info": {"archive_info": {"hashes": {"sha256": digest}}}}
        for name, version, digest in packages
    ]
    install.append({"metadata": {"name": "ocr_sweep", "version": "1"}, "download_info": {"dir_info": {"editable": True}}})
    (tmp_path / "report.json").write_text(json.dumps({"install": install}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["write_lock.py", str(tmp_path / "report.json")])
        module.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert lines == [f"attrs==26.1.0 --hash=sha256:{'b' * 64}", f"torch==2.13.0 --hash=sha256:{'a' * 64}"]
