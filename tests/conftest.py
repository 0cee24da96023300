"""Paths and session fixtures shared by the tests."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the pretrained model and text that nobody here made, where it is present."""
    folder = Path(os.environ.get("LM_CONNECTOME_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no pretrained model: {folder} is absent (set LM_CONNECTOME_SHARED)")
    return folder
