"""Paths and session fixtures shared by the tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: more threads only get in the way


def quick_command(folder: Path, config: str = "tests/config/quick.yaml") -> list[str]:
    """Command that runs a small configuration of this checkout with all results in `folder`."""
    return [
        *(sys.executable, "-m", "snakemake", "--cores", "2"),
        *("--snakefile", str(ROOT / "Snakefile")),
        *("--workflow-profile", str(ROOT / "profiles/default")),
        *("--directory", str(folder), "--configfile", str(ROOT / config)),
    ]


def heed_interrupts() -> None:
    """For `preexec_fn` of a run that is to be interrupted: what a shell starts in the background,
    such as these tests, may ignore interrupts, and so would the run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """Where tests run side by side (pytest -n), those of a file stay in one process, and so do the
    files that share the results of a run."""
    sharing = {
        item.path: name
        for item in items
        for name in ("quick_results", "small")
        if name in item.fixturenames
    }
    for item in items:
        item.add_marker(pytest.mark.xdist_group(sharing.get(item.path, item.path.stem)))


@pytest.fixture(scope="session")
def quick_results(tmp_path_factory) -> Path:
    """Results of one run of the quick configuration, shared by all tests. Not to be changed."""
    folder = tmp_path_factory.mktemp("quick")
    done = subprocess.run(
        quick_command(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        logs = "".join(
            f"\n== {path}\n{path.read_text()[-2000:]}"
            for path in sorted(folder.glob("results/log/**/*.log"))
            if "error" in path.read_text().lower()
        )
        pytest.fail(f"the quick run failed:\n{done.stdout[-5000:]}{logs}")
    return folder / "results"


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """Results of the smallest run there is (stranger_model.run), shared. Not to be changed."""
    import stranger_model  # it imports transformers

    return stranger_model.run(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the pretrained model and text that nobody here made, where it is present."""
    folder = Path(os.environ.get("LM_CONNECTOME_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no pretrained model: {folder} is absent (set LM_CONNECTOME_SHARED)")
    return folder
