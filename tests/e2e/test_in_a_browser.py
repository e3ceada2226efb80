"""What a person sees: the MLflow UI's view of a study, and the comparison page, in a headless Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_study import free_port, here, started

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def browser(tmp_path: Path) -> str:
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH")
    return CHROMIUM


def shown(browser: str, address: str, profile: Path, *more: str) -> str:
    """The page as it stands once its scripts have run."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--window-size=1800,1200"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=60000", *more, "--dump-dom", address], capture_output=True, text=True, timeout=180
    )
    return done.stdout


def test_the_ui_opens_with_the_columns_and_charts_of_the_study(finished: Path, browser: str, tmp_path: Path) -> None:
    port = free_port()
    with started(finished, "ui", "--port", str(port)) as process:
        assert process.stdout is not None
        said = ""
        while "tiny: http" not in said:
            said += process.stdout.readline()
        address = re.findall(r"http://\S+viewStateShareKey=\S+", said)[0]
        page = shown(browser, address, tmp_path / "profile")
    text = re.sub(r"<[^>]+>", " ", page)
    for words in (
        "You're viewing a shared view",
        "the study",
        "Sort: val/accuracy_macro",
        "tiny-0000",
        "epoch/val/accuracy_macro",
    ):
        assert words in text, words
    assert "tiny-summary" not in text


def test_the_comparison_page_is_whole_without_a_network(damaged: Path, browser: str, tmp_path: Path) -> None:
    assert here(damaged, "runs", "compare", "--study", "tiny").code == 0
    page = shown(
        browser, (damaged / "reports" / "tiny.html").as_uri(), tmp_path / "profile", "--host-resolver-rules=MAP * ~NOTFOUND"
    )
    assert page.count("<h2>") >= 6 and "</svg>" in page and "</html>" in page
    assert here(damaged, "report").code == 0
    slides = next((damaged / "reports").glob("progress-*.html"))
    assert "</section>" in shown(browser, slides.as_uri(), tmp_path / "profile")
