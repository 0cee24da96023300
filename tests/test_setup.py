"""Set-up on a machine without apt, and what the lock promises."""

import os
import re
import shutil
import subprocess

import yaml

from conftest import ROOT


def pins(text):
    return dict(re.findall(r"^\s*-?\s*([A-Za-z0-9_.-]+)==(\S+)$", text, re.M))


def normal(name):
    return name.lower().replace("_", "-")


def test_a_machine_without_apt_is_told_what_is_missing(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "sh", "dirname", "python3", "cmp", "id"):
        (programs / name).symlink_to(shutil.which(name))
    checkout = tmp_path / "checkout"
    (checkout / "envs").mkdir(parents=True)
    shutil.copy(ROOT / "envs/setup.sh", checkout / "envs")
    done = subprocess.run(
        ["bash", str(checkout / "envs/setup.sh")],
        env={"PATH": str(programs)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "missing:" in done.stderr and "chromium" in done.stderr
    assert "This machine has no apt" in done.stderr
    assert not (checkout / ".venv").exists()


def test_every_direct_dependency_is_locked_and_explained():
    lock = {normal(name) for name in pins((ROOT / "requirements.lock").read_text())}
    for line in (ROOT / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            name, reason = line.split("#")
            assert normal(name.strip()) in lock
            assert reason.strip()


def test_the_conda_environment_has_the_versions_of_the_lock():
    lock = {normal(k): v for k, v in pins((ROOT / "requirements.lock").read_text()).items()}
    environment = yaml.safe_load((ROOT / "envs/connectome.yaml").read_text())
    [pip] = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    for requirement in pip:
        name, version = requirement.split("==")
        assert lock[normal(name)] == version


def test_a_second_setup_installs_nothing():
    if not (ROOT / ".venv").is_dir():
        import pytest

        pytest.skip("no .venv here: the tests run in another environment")
    before = os.stat(ROOT / ".venv/requirements.lock").st_mtime_ns
    subprocess.run(["bash", str(ROOT / "envs/setup.sh")], check=True, timeout=60)
    assert os.stat(ROOT / ".venv/requirements.lock").st_mtime_ns == before
