"""A toy checkout in a temporary folder: three small rules with the real common.smk and library."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOY = Path(__file__).resolve().parent / "toy"
SCRIPTS = ("draw_numbers.py", "add_numbers.py", "write_page.py")


def make(folder: Path) -> Path:
    """Write the toy checkout into `folder` and return it."""
    scripts = folder / "workflow" / "scripts"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "workflow/scripts/connectome", scripts / "connectome", ignore=ignore)
    for name in ("config", "profiles", "workflow/schemas"):
        shutil.copytree(ROOT / name, folder / name)
    for path in (ROOT / "workflow").glob("*.py"):
        shutil.copy(path, folder / "workflow")
    (folder / "rules").mkdir()
    for name in ("common.smk", "slices.smk"):
        shutil.copy(ROOT / "rules" / name, folder / "rules")
    shutil.copy(TOY / "Snakefile", folder)
    for name in SCRIPTS:
        shutil.copy(TOY / name, scripts)
    for path in TOY.glob("toy_*.py"):
        shutil.copy(path, scripts / "connectome")
    return folder


def command(*arguments: str) -> list[str]:
    """Command line of a Snakemake run by this interpreter."""
    return [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]


def run(folder: Path, *arguments: str, ok: bool = True) -> str:
    """Run Snakemake in `folder`; its output. Fails the test where the run fails (unless not ok)."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stdout
    return done.stdout


def jobs(output: str) -> list[str]:
    """Names of the rules that a run (or dry run) started, in order, targets left out."""
    return [name for name in re.findall(r"^(?:local)?rule (\w+):", output, re.M) if name != "all"]
