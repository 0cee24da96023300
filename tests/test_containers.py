"""The container recipes, as far as a machine without a container engine can tell."""

import re
import shutil
import subprocess
import sys

from conftest import ROOT

SETUP = "bash .*envs/setup.sh"


def copied(recipe: str) -> list[str]:
    """Files and folders of the checkout that a recipe copies."""
    text = (ROOT / "envs" / recipe).read_text()
    if recipe == "Containerfile":
        return re.findall(r"^COPY (\S+) ", text, re.M)
    block = text.split("%files")[1].split("%post")[0]
    pairs = [line.split() for line in block.splitlines() if line.strip()]
    assert all(target == f"/opt/lm-connectome/{source}" for source, target in pairs)
    return [source for source, _ in pairs]


def test_both_recipes_copy_the_same_files_and_run_the_setup_of_make_report():
    assert sorted(copied("Containerfile")) == sorted(copied("connectome.def"))
    for recipe in ("Containerfile", "connectome.def"):
        text = (ROOT / "envs" / recipe).read_text()
        [line] = re.findall(rf"^.*{SETUP}.*$", text, re.M)
        assert "tests" not in line  # Slurm is for the tests
        assert not re.search(r"pip install|apt-get install", text)
    assert re.search(r"^setup:.*\n\t@bash envs/setup\.sh$", (ROOT / "Makefile").read_text(), re.M)


def test_what_the_recipes_copy_is_enough_to_plan_a_run_elsewhere(tmp_path):
    image, data = tmp_path / "image", tmp_path / "data"
    image.mkdir()
    data.mkdir()
    for source in copied("Containerfile"):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, image / source)
        else:
            shutil.copy(ROOT / source, image / source)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(image / "Snakefile"),
         "--cores", "2", "--dry-run", "--quiet", "rules"],
        cwd=data, capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert f"{image}/profiles/default" in output  # the profile comes along
    assert re.search(r"^build_report +1$", output, re.M)
