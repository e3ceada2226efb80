"""Every recipe and study that the project ships loads, and says of each source what it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocr_sweep.config.load import load_corpus, load_study

SWEEPS = Path(__file__).parents[2] / "sweeps"
RECIPES = sorted(SWEEPS.glob("corpora/*.yaml"))
CLASSES = {"chinese": 17_380, "cursive": 688, "japanese": 6_516, "punctuation": 100}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_loads_under_its_own_name(path: Path) -> None:
    recipe = load_corpus(path, SWEEPS)
    assert recipe.name == path.stem
    assert len(recipe.charset.chars) == CLASSES.get(path.stem, len(recipe.charset.chars))


def test_the_five_tasks_are_there() -> None:
    assert {"chinese", "cursive", "japanese", "nom", "punctuation"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("name", ["nom", "punctuation"])
def test_scans_of_nom_and_punctuation_never_train(name: str) -> None:
    recipe = load_corpus(SWEEPS / "corpora" / f"{name}.yaml", SWEEPS)
    assert recipe.scanned_per_class == 0 and all(source.split.test == 1.0 for source in recipe.scanned)


def test_chinese_trains_on_at_most_50_scans_a_class() -> None:
    assert load_corpus(SWEEPS / "corpora" / "chinese.yaml", SWEEPS).scanned_per_class == 50


def test_no_calligrapher_of_cursive_is_in_two_splits() -> None:
    (source,) = load_corpus(SWEEPS / "corpora" / "cursive.yaml", SWEEPS).scanned
    assert source.group == "calligrapher"


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_study_loads(path: Path) -> None:
    assert load_study(path, SWEEPS).name == path.stem


def test_commented_sources_are_right_once_they_are_uncommented(tmp_path: Path) -> None:
    """Whoever takes the mark off a source gets a recipe that loads."""
    for path in RECIPES:
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join(_live(lines)) + "\n"
        (tmp_path / path.name).write_text(text, encoding="utf-8")
        (tmp_path / "charsets").mkdir(exist_ok=True)
        for file in (SWEEPS / "corpora" / "charsets").iterdir():
            (tmp_path / "charsets" / file.name).write_bytes(file.read_bytes())
        recipe = load_corpus(tmp_path / path.name, SWEEPS)
        assert len(recipe.scanned) >= text.count("path: ")


def _live(lines: list[str]) -> list[str]:
    """Uncomment the blocks of sources; a list that stood empty is replaced by the commented one."""
    live = []
    for line in lines:
        bare = line.lstrip()
        if bare.startswith(("# scanned:", "#   - ", "#     ", "# - ", "#   ")) and ": " in f"{bare} ":
            line = line.replace("# ", "", 1)
        live.append(line)
    if "scanned:" in live and "scanned: []" in live:
        live.remove("scanned: []")
    return live
