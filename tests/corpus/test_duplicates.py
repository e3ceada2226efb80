from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import duplicates, normalise_ink, read_ink
from ocr_sweep.corpus.duplicates import RADIUS, duplicate_groups, joined, members, near_hashes, same_pictures
from ocr_sweep.corpus.looks import correlations, without_strays
from ocr_sweep.store import CorpusView

Picture = Callable[..., Image.Image]


def stored(image: Image.Image, folder: Path, *, quality: int = 95) -> NDArray[np.uint8]:
    image.save(folder / "one.jpg", quality=quality)
    return normalise_ink(read_ink(folder / "one.jpg"), 48)


def shrunk(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 7 // 10, image.height * 7 // 10), Image.Resampling.BICUBIC)


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": shrunk,
    "larger": lambda image: image.resize((image.width * 14 // 10, image.height * 14 // 10), Image.Resampling.BICUBIC),
    "brighter": lambda image: image.point(lambda level: level * 0.8 + 30),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.6)),
    "on more paper": lambda image: Image.fromarray(np.pad(np.asarray(image), ((3, 9), (7, 2)), mode="edge")),
}


def test_near_hashes_are_those_that_a_comparison_of_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 60, dtype=np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, k, replace=False)) for k in range(RADIUS + 4) for _ in range(6)]
    hashes = np.concatenate([base, base[np.arange(len(flips)) % 60] ^ np.array(flips, np.uint64), base[:3]])
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = np.argwhere(np.triu(distance <= RADIUS, 1))
    assert len(expected) > 30
    assert near_hashes(hashes).tolist() == expected.tolist()


@pytest.mark.parametrize("way", ALTERED)
def test_an_altered_copy_is_found(way: str, picture: Picture, tmp_path: Path) -> None:
    chars = "天地玄國龍永"
    originals = [stored(picture(char, 3), tmp_path) for char in chars]
    copies = [stored(ALTERED[way](picture(char, 3)), tmp_path, quality=70) for char in chars]
    groups = same_pictures(np.stack(originals + copies))
    assert groups.tolist() == [*range(len(chars)), *range(len(chars))]
    assert duplicate_groups(np.stack(originals + copies), np.arange(2 * len(chars)) % len(chars)).tolist() == groups.tolist()


def test_a_copy_that_lost_a_dot_is_found_under_its_own_label_alone(picture: Picture, tmp_path: Path) -> None:
    whole = picture("一", 3)
    pen = ImageDraw.Draw(whole)
    pen.line((20, 80, 76, 80), fill=40, width=6)
    bare = stored(whole, tmp_path)
    pen.ellipse((44, 14, 49, 19), fill=40)  # far above: a stroke of one scan, a stray of another
    dotted = stored(whole, tmp_path)
    dotted[:3] = 0
    images = np.stack([dotted, bare])
    assert not np.array_equal(*images) and without_strays(images, np.arange(2))[0].tolist() == [0]
    assert duplicate_groups(images, np.zeros(2, np.int64)).tolist() == [0, 0]
    assert duplicate_groups(images, np.arange(2)).tolist() == same_pictures(images).tolist() == [0, 1]


def test_a_thousand_prints_of_one_type_cost_a_thousand_comparisons(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def counted(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
        compared.append(len(others))
        return correlations(one, others)

    monkeypatch.setattr(duplicates, "correlations", counted)
    print_, other = stored(picture("國", 1), tmp_path), stored(picture("地", 1), tmp_path)
    images = np.stack([print_] * 1500 + [other])
    images[:1500, 24, 24] = np.arange(1500) % 7  # equal hashes, other pixels
    assert [len(group) for group in members(same_pictures(images))] == [1500]
    assert sum(compared) < 2 * len(images)


def test_where_nobody_looks_only_equal_pixels_are_one_picture(picture: Picture, tmp_path: Path) -> None:
    one, near = stored(picture("天", 1), tmp_path), stored(shrunk(picture("天", 1)), tmp_path)
    images, class_ids = np.stack([one, near, one, one, one]), np.array([0, 0, 0, 1, 0])
    compared = np.array([False, False, False, False, True])
    assert duplicate_groups(images, class_ids, compared).tolist() == [0, 1, 0, 2, 3]
    assert duplicate_groups(images, class_ids).tolist() == [0, 0, 0, 1, 0]


def test_the_same_character_by_another_hand_is_no_copy(picture: Picture, tmp_path: Path) -> None:
    images = [stored(picture(char, seed), tmp_path) for char in "天地國日" for seed in range(1, 9)]
    assert members(same_pictures(np.stack(images))) == []
    assert members(duplicate_groups(np.stack(images), np.repeat(np.arange(4), 8))) == []


def test_groups_hold_one_class_and_do_not_depend_on_the_order(picture: Picture, tmp_path: Path) -> None:
    pictures = [picture("天", 1), shrunk(picture("天", 1)), picture("天", 1), picture("地", 2), picture("天", 5)]
    images = np.stack([stored(one, tmp_path) for one in pictures])
    class_ids = np.array([0, 0, 1, 2, 0])  # the third is the same picture under another label
    assert duplicate_groups(images, class_ids).tolist() == [0, 0, 1, 2, 3]
    order = np.array([4, 1, 3, 0, 2])
    assert duplicate_groups(images[order], class_ids[order]).tolist() == [0, 1, 2, 1, 3]


def test_no_image_and_one_image_have_no_duplicates() -> None:
    for count in (0, 1):
        images = np.zeros((count, 32, 32), np.uint8)
        assert same_pictures(images).tolist() == duplicate_groups(images, np.zeros(count, np.int64)).tolist() == [0] * count


def test_chains_join_in_order_of_first_appearance() -> None:
    assert joined(np.array([[1, 3], [3, 4], [0, 2]]), 6).tolist() == [0, 1, 0, 1, 1, 2]


def test_near_duplicates_lie_in_one_split(
    recipe: Callable[..., CorpusConfig],
    book: Callable[..., dict[str, Any]],
    build: Callable[..., CorpusView],
    scans: Path,
) -> None:
    for file in sorted((scans / "book").glob("*/*.png")):
        copy = io.BytesIO()
        with Image.open(file) as image:
            shrunk(image).save(copy, "JPEG", quality=80)
        file.with_suffix(".jpg").write_bytes(copy.getvalue())
    view = build(recipe(scanned=[book()], simulated=[]), scans)
    home: dict[str, set[str]] = {}
    for name, row in zip(view.names, view.rows, strict=True):
        if name.startswith("book/"):
            home.setdefault(name.rsplit(".", 1)[0], set()).add(view.set_names[int(row["set_id"])])
    assert len(home) == 40
    assert {len(sets) for sets in home.values()} == {1}


def test_near_copies_of_an_earlier_source_are_left_out(
    recipe: Callable[..., CorpusConfig],
    book: Callable[..., dict[str, Any]],
    build: Callable[..., CorpusView],
    scans: Path,
    picture: Picture,
) -> None:
    for char in "天地":
        (scans / "again" / char).mkdir(parents=True)
        shrunk(picture(char, 3)).save(scans / "again" / char / "copy.jpg", quality=80)
        for seed in range(20, 24):
            picture(char, seed).save(scans / "again" / char / f"{seed}.png")
    view = build(recipe(scanned=[book(), book(name="again", path="again")], simulated=[]), scans)
    assert view.manifest["left_out"]["scans/again"]["copies_of_another_source"] == ["U+5730/copy.jpg", "U+5929/copy.jpg"]
