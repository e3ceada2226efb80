"""Pages with boxes: each box is a scan, no page is torn, a page is decoded once, and wrong boxes are listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from ocr_sweep.config.corpus import CorpusConfig, ScannedConfig
from ocr_sweep.corpus import jobs, pages, pictures
from ocr_sweep.corpus.glyphs import ink_box, normalise_ink
from ocr_sweep.corpus.jobs import make_images, scan_jobs
from ocr_sweep.corpus.pictures import Unreadable, ink_of_gray
from ocr_sweep.corpus.scans import ScannedSource, list_source
from ocr_sweep.errors import DataError
from ocr_sweep.store import CorpusView, Source

Book = Callable[..., dict[str, Any]]
Recipe = Callable[..., CorpusConfig]
Build = Callable[..., CorpusView]
Picture = Callable[..., Image.Image]
CHARS = "天地玄日月"
CELL = 80  # pixels
HEADER = "page,label,x,y,width,height"


@pytest.fixture
def leaves(tmp_path: Path, picture: Picture) -> Path:
    """A data root with the source `leaves`: six pages of five characters each, a column on each page, and `boxes.csv`."""
    folder = tmp_path / "data" / "leaves"
    folder.mkdir(parents=True)
    rows = []
    for page in range(6):
        image = Image.new("L", (200, CELL * len(CHARS)), 225)
        for place, char in enumerate(CHARS):
            image.paste(picture(char, 10 * page + place, CELL), (60, CELL * place))
            rows.append(f"p{page}.png,{char},64,{CELL * place + 4},{CELL - 8},{CELL - 8}")
        image.save(folder / f"p{page}.png")
    (folder / "boxes.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    return tmp_path / "data"


@pytest.fixture
def block(book: Book) -> Callable[..., dict[str, Any]]:
    def make(**changes: Any) -> dict[str, Any]:
        return book(**({"name": "leaves", "path": "leaves", "boxes": "boxes.csv"} | changes))

    return make


def listed(config: dict[str, Any], root: Path, chars: str = CHARS) -> ScannedSource:
    return list_source(ScannedConfig.model_validate(config), chars, data_root=root, cache=root.parent / "cache")


def coco(folder: Path) -> dict[str, Any]:
    """The boxes of `boxes.csv` as COCO."""
    rows = [line.split(",") for line in (folder / "boxes.csv").read_text(encoding="utf-8").splitlines()[1:]]
    pages = sorted({row[0] for row in rows})
    return {
        "images": [{"id": i, "file_name": page, "book": f"b{i // 2}"} for i, page in enumerate(pages)],
        "categories": [{"id": ord(char), "name": char} for char in CHARS],
        "annotations": [
            {"id": i, "image_id": pages.index(row[0]), "category_id": ord(row[1]), "bbox": [float(v) for v in row[2:]]}
            for i, row in enumerate(rows)
        ],
    }


def refused(config: dict[str, Any], root: Path) -> str:
    with pytest.raises(DataError) as caught:
        listed(config, root)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_each_box_is_a_scan_of_its_page(leaves: Path, block: Book) -> None:
    source = listed(block(), leaves)
    assert [scan.char for scan in source.scans] == list(CHARS) * 6
    assert [scan.group for scan in source.scans] == [f"page=p{page}.png" for page in range(6) for _ in CHARS]
    assert source.scans[0].file == "U+5929/p0.png@64,4,72,72"
    assert listed(block(), leaves, chars="天地").outside == {"日": 6, "月": 6, "玄": 6}


def test_coco_says_the_same_as_csv(leaves: Path, block: Book) -> None:
    (leaves / "leaves" / "coco.json").write_text(json.dumps(coco(leaves / "leaves")), encoding="utf-8")
    assert listed(block(boxes="coco.json"), leaves) == listed(block(), leaves)


def test_the_order_of_the_rows_changes_nothing(leaves: Path, block: Book) -> None:
    path = leaves / "leaves" / "boxes.csv"
    before = listed(block(), leaves)
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    assert listed(block(), leaves) == before


def test_a_box_gives_the_character_that_its_picture_gives(leaves: Path, block: Book, picture: Picture) -> None:
    images = list(make_images(scan_jobs(listed(block(), leaves).scans), 48, 1))
    for place, char in enumerate(CHARS):
        alone = normalise_ink(ink_of_gray(np.asarray(picture(char, place, CELL), dtype=np.float32)), 48)
        image = images[place]
        assert not isinstance(image, Unreadable)
        assert np.abs(image.astype(float) - alone).mean() < 6


def test_no_page_is_torn(leaves: Path, block: Book, recipe: Recipe, build: Build) -> None:
    view = build(recipe(scanned=[block()], simulated=[]), leaves)
    scanned = view.rows[np.flatnonzero(view.rows["source"] == Source.SCANNED)]
    splits = {(row["group"], view.set_names[row["set_id"]]) for row in scanned}
    assert len(scanned) == 30 and len(splits) == 6


def test_named_groups_that_share_a_page_are_one(leaves: Path, block: Book) -> None:
    path = leaves / "leaves" / "boxes.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    hands = [f"h{int(row[1]) // 2}" for row in rows]
    hands[0] = "h1"  # page 0 has two hands, and so joins pages 0 to 3
    path.write_text("\n".join([f"{header},hand", *(f"{row},{hand}" for row, hand in zip(rows, hands, strict=True))]))
    groups = [scan.group for scan in listed(block(group="hand"), leaves).scans]
    assert groups[:20] == ["hand=h1"] * 20 and groups[20:] == ["hand=h2"] * 10


def test_coco_groups_are_keys_of_the_images(leaves: Path, block: Book) -> None:
    data = coco(leaves / "leaves")
    path = leaves / "leaves" / "coco.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    source = listed(block(boxes="coco.json", group="book"), leaves)
    assert [scan.group for scan in source.scans] == [f"book=b{page // 2}" for page in range(6) for _ in CHARS]
    del data["images"][0]["book"]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert "its image must have the key 'book' (`group`)" in refused(block(boxes="coco.json", group="book"), leaves)


def test_a_page_is_decoded_once(leaves: Path, block: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    plain = pictures.open_picture
    monkeypatch.setattr(pages, "open_picture", lambda path, most: opened.append(path.name) or plain(path, most))
    list(make_images(scan_jobs(listed(block(), leaves).scans), 32, 1))
    assert opened == [f"p{page}.png" for page in range(6)]


def test_one_worker_and_three_give_the_same_bytes(leaves: Path, block: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = listed(block(), leaves).scans
    one = [image.tobytes() for image in make_images(scan_jobs(scans), 32, 1) if not isinstance(image, Unreadable)]
    monkeypatch.setattr(jobs, "SMALL", 0)
    many = [image.tobytes() for image in make_images(scan_jobs(scans), 32, 3) if not isinstance(image, Unreadable)]
    assert len(one) == 30 and many == one


def test_the_margin_is_cut_with_the_box_and_stays_on_the_page(leaves: Path, block: Book) -> None:
    tight, wide = (listed(block(box_margin=margin), leaves) for margin in (0.0, 0.25))
    assert {scan.box.margin for scan in wide.scans if scan.box} == {18} and tight.sha256 != wide.sha256
    assert not [image for image in make_images(scan_jobs(wide.scans), 32, 1) if isinstance(image, Unreadable)]


def test_a_small_mark_on_a_page_stays_small(tmp_path: Path, block: Book) -> None:
    folder = tmp_path / "leaves"
    folder.mkdir()
    page = np.full((400, 100), 225, np.uint8)
    page[340:352, 40:52] = 30  # a mark of 12 pixels, tightly boxed, among characters of 80
    for top in (10, 110, 210):
        page[top : top + 80, 10:90] = np.where(np.indices((80, 80)).sum(axis=0) % 20 < 8, 30, 225)
    Image.fromarray(page).save(folder / "p.png")
    rows = [*(f"p.png,天,10,{top},80,80" for top in (10, 110, 210)), "p.png,。,40,340,12,12"]
    (folder / "boxes.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    image = list(make_images(scan_jobs(listed(block(), tmp_path, chars="天。").scans), 64, 1))[-1]
    assert not isinstance(image, Unreadable)
    _, _, width, height = ink_box(image) or (0, 0, 0, 0)
    assert 10 <= max(width, height) <= 20  # not 56, which fills the square


def test_a_neighbour_in_the_margin_is_erased_and_a_stroke_that_leaves_its_box_is_not(tmp_path: Path, block: Book) -> None:
    folder = tmp_path / "leaves"
    folder.mkdir()
    page = np.full((200, 200), 225, np.uint8)
    page[60:140, 90:110] = 30
    page[90:110, 60:145] = 30  # leaves its box by five pixels
    page[40:57, 70:130] = 30  # the neighbour above ends three pixels above the box
    Image.fromarray(page).save(folder / "p.png")
    (folder / "boxes.csv").write_text(f"{HEADER}\np.png,十,60,60,80,80\n", encoding="utf-8")
    (image,) = make_images(scan_jobs(listed(block(), tmp_path, chars="十").scans), 64, 1)
    assert not isinstance(image, Unreadable)
    x, y, width, height = ink_box(image) or (0, 0, 0, 0)
    assert abs(width / height - 85 / 80) < 0.06  # the cross alone, with all of its stroke
    assert image[y : y + 2, x : x + 10].max() == 0


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("p9.png,天,0,0,9,9", "line 3: there is no file 'p9.png'"),
        ("../p0.png,天,0,0,9,9", "must be a name inside the folder"),
        ("p0.png,天,150,0,60,60", "must lie on its page of 200x400 pixels, but has x=150, y=0, width=60, height=60"),
        ("p0.png,天,-1,0,60,60", "must lie on its page"),
        ("p0.png,天,0,390,60,60", "must lie on its page"),
        ("p0.png,天,0,0,0,60", "must have an area"),
        ("p0.png,天,0,0,60,-5", "must have an area"),
        ("p0.png,天,0,0,0.3,60", "must have an area"),
        ("p0.png,天,0,0,nan,60", "must have finite numbers"),
        ("p0.png,天,0,0,inf,60", "must have finite numbers"),
        ("p0.png,天,0,0,6o,60", "must be numbers of pixels, but are 0, 0, 6o, 60"),
        ("p0.png,か\u3099,0,0,60,60", "is a decomposed form of が U+304C; write U+304C"),
        ("p0.png,\uf900,0,0,60,60", "is a compatibility form of 豈"),
        ("p0.png,,0,0,60,60", "must name one visible character"),
        ("p0.png,天,64,4.2,72,72", "line 3: repeats the box of line 2"),
        ("p0.png,天,0,0,60", "must have 6 fields as the header has, but has 5"),
    ],
)
def test_boxes_that_cannot_be_used_are_named_with_their_line(row: str, problem: str, leaves: Path, block: Book) -> None:
    text = f"{HEADER}\np0.png,天,64,4,72,72\n{row}\n"
    (leaves / "leaves" / "boxes.csv").write_text(text, encoding="utf-8")
    message = refused(block(), leaves)
    assert problem in message and "\n" not in message


def test_ten_boxes_are_listed_and_the_others_counted(leaves: Path, block: Book) -> None:
    rows = [f"p0.png,天,{500 + x},0,9,9" for x in range(13)]
    (leaves / "leaves" / "boxes.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    assert "because of 13 problems" in (message := refused(block(), leaves)) and "... and 3 more" in message


def test_a_missing_column_or_file_is_named(leaves: Path, block: Book) -> None:
    (leaves / "leaves" / "boxes.csv").write_text("page,label,x,y,w,h\n", encoding="utf-8")
    assert "the column 'width' is missing; the header has: page, label, x, y, w, h" in refused(block(), leaves)
    assert "`boxes: absent.csv` must name a file" in refused(block(boxes="absent.csv"), leaves)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"annotations": None}, "has no list of objects 'annotations'"),
        ({"images": [1]}, "has no list of objects 'images'"),
        ({"bbox": [1, 2, 3]}, "annotation 0: `bbox` must be [x, y, width, height] in pixels, but is [1, 2, 3]"),
        ({"bbox": [0, 0, True, 5]}, "`bbox` must be"),
        ({"bbox": [0, 0, 10**400, 5]}, "`bbox` must be"),
        ({"bbox": [0, 0, 500, 5]}, "annotation 0: a box must lie on its page"),
        ({"image_id": 77}, "annotation 0: `image_id` 77 names none of the file's"),
        ({"image_id": [1]}, "`image_id` [1] names none"),
        ({"category_id": True}, "`category_id` True names none"),
        ({"iscrowd": 1}, "`iscrowd` marks a box of several characters"),
        ({"categories": [{"id": ord(char), "name": 3} for char in CHARS]}, "`name` must be text, but is 3"),
        ({"categories": [{"id": 1, "name": "天"}] * 2}, "category 1: each needs an `id` of its own"),
        ({"categories": [{"id": ord(char), "name": f"{char}x"} for char in CHARS]}, "must name one visible character"),
    ],
)
def test_wrong_coco_is_refused(change: dict[str, Any], problem: str, leaves: Path, block: Book) -> None:
    data = coco(leaves / "leaves")
    data["annotations"][0].update({key: value for key, value in change.items() if key not in data})
    data.update({key: value for key, value in change.items() if key in data})
    (leaves / "leaves" / "coco.json").write_text(json.dumps(data), encoding="utf-8")
    assert problem in refused(block(boxes="coco.json"), leaves)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\x00", "[]", '{"images": {}}'])
def test_what_is_no_coco_is_refused(text: str, leaves: Path, block: Book) -> None:
    (leaves / "leaves" / "coco.json").write_text(text, encoding="utf-8")
    assert "must be COCO annotations" in refused(block(boxes="coco.json"), leaves)


def test_a_page_that_cannot_be_read_counts_with_all_its_boxes(leaves: Path, block: Book, recipe: Recipe, build: Build) -> None:
    (leaves / "leaves" / "p3.png").write_bytes((leaves / "leaves" / "p3.png").read_bytes()[:300])
    with pytest.raises(DataError, match=r"5 of 30 images of scanned source 'leaves' cannot be used"):
        build(recipe(scanned=[block()], simulated=[]), leaves)
    bad = build(recipe(scanned=[block(max_bad=0.2)], simulated=[]), leaves).manifest["left_out"]["scans/leaves"]["bad"]
    assert len(bad) == 5 and all("p3.png@" in name for name, _ in bad)


def test_too_large_a_page_is_refused_before_it_is_decoded(leaves: Path, block: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PAGE_PIXELS", 1000)
    images = list(make_images(scan_jobs(listed(block(), leaves).scans), 32, 1))
    assert images == [Unreadable("200x400 pixels are more than 0 million")] * 30


def test_white_on_black_pages_give_the_same_ink(leaves: Path, block: Book) -> None:
    scans = listed(block(), leaves).scans
    plain = list(make_images(scan_jobs(scans), 32, 1))
    for path in (leaves / "leaves").glob("*.png"):
        ImageOps.invert(Image.open(path)).save(path)
    for a, b in zip(plain, make_images(scan_jobs(scans), 32, 1), strict=True):
        assert not isinstance(a, Unreadable) and not isinstance(b, Unreadable)
        assert np.abs(a.astype(float) - b).mean() < 1


def test_boxes_are_meant_on_the_upright_page(leaves: Path, block: Book) -> None:
    upright = Image.open(leaves / "leaves" / "p0.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen turned by 90 degrees clockwise
    upright.rotate(90, expand=True).save(leaves / "leaves" / "p0.png", exif=exif)
    assert Image.open(leaves / "leaves" / "p0.png").size == (400, 200)
    images = list(make_images(scan_jobs(listed(block(), leaves).scans), 32, 1))
    upright.save(leaves / "leaves" / "p0.png")
    again = list(make_images(scan_jobs(listed(block(), leaves).scans), 32, 1))
    assert all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
