"""Debian's chromium for the tests of the page."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@contextlib.contextmanager
def launched(what: str, *flags: str) -> Iterator[Any]:
    """A running browser; without one the tests of `what` are skipped, and fail in CI."""
    if CHROMIUM is None:
        reason = f"NO BROWSER: chromium is not on PATH, {what} was NOT tested in one"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        yield browser
        browser.close()
