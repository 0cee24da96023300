"""A real Slurm of two nodes on this machine, in a folder of its own, for the length of the tests.

munged, slurmctld and two slurmd with their own key, socket, ports and state: a Slurm that the
machine has is left alone. Needs no systemd and no user but the one who runs it (root, since slurmd
starts jobs).
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = (
    "setpriv",
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "squeue",
    "scancel",
    "scontrol",
)
DAEMONS_PATH = "/usr/sbin:/sbin"  # where Debian puts daemons; not on every user's PATH
START_SECONDS = 60

# No accounting, no control groups, no cgroup file of the machine: what a plain container can hold.
# A GPU is a fake one, but one that Slurm counts and hands out: one per node.
SETTINGS = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PropagateResourceLimits=NONE
SchedulerParameters=batch_sched_delay=0
MinJobAge=300
KillWait=2
GresTypes=gpu
NodeName=DEFAULT CPUs=2 RealMemory=4000 Gres=gpu:1
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """Slurm cannot run here; the text is the reason."""


class Cluster:
    """A running Slurm; its commands, and Snakemake, are to be called with `environment`."""

    def __init__(self, folder: Path):
        self.folder = folder
        # Snakemake does not quote the interpreter of its jobs, and the checkout may lie anywhere
        (folder / "venv").symlink_to(sys.prefix)
        self.python = str(folder / "venv/bin" / Path(sys.executable).name)
        path = f"{folder / 'bin'}:{os.environ['PATH']}:{DAEMONS_PATH}"
        foreign = ("SLURM_", "SBATCH_", "SRUN_")  # of a job that the tests themselves may run in
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        self.environment |= {
            "PATH": path,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def ask(self, *command: str) -> str:
        """Output of a Slurm command."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs since the start, oldest first: what `scontrol` says of each; whole in `Line`."""
        records = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        found = [
            {"Line": record} | dict(word.split("=", 1) for word in record.split(" ") if "=" in word)
            for record in records
            if record.startswith("JobId=")
        ]
        return sorted(found, key=lambda job: int(job["JobId"]))


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def configure(folder: Path) -> None:
    """Write key and settings into `folder`."""
    for name in ("munge", "state", "log", "node1", "node2"):
        (folder / name).mkdir(mode=0o755)
    folder.chmod(0o755)
    key = folder / "munge/munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    settings = SETTINGS.format(
        folder=folder,
        host=socket.gethostname().split(".")[0],
        user=pwd.getpwuid(os.getuid()).pw_name,
        ports=free_ports(3),
    )
    (folder / "slurm.conf").write_text(settings)
    (folder / "gres.conf").write_text("Name=gpu Count=1 File=/dev/null\n")
    # the job step plugin takes SLURM_CONF out of the environment of srun
    (folder / "bin").mkdir()
    srun = shutil.which("srun")
    wrapper = folder / "bin/srun"
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n')
    wrapper.chmod(0o755)
    # named, or slurmd looks for the machine's control groups and ends where it finds none
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")


def commands(folder: Path) -> list[list[str]]:
    """Command lines of the daemons, in the order in which they start, all in the foreground."""
    munge = folder / "munge"
    files = [f"--{name}-file={munge / name}" for name in ("pid", "log", "seed")]
    return [
        [
            "munged",
            "-F",
            "--force",
            f"--key-file={munge}/munge.key",
            f"--socket={munge}/socket",
            *files,
        ],
        ["slurmctld", "-D", "-f", f"{folder}/slurm.conf"],
        ["slurmd", "-D", "-N", "node1", "-f", f"{folder}/slurm.conf"],
        ["slurmd", "-D", "-N", "node2", "-f", f"{folder}/slurm.conf"],
    ]


def wait_until(ready, daemons: list[subprocess.Popen], what: str) -> None:
    """Wait for `ready()`; Unavailable where a daemon ends or the time is over."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        for daemon in daemons:
            if daemon.poll() is not None:
                raise Unavailable(f"{' '.join(daemon.args)} ended with status {daemon.returncode}")
        if time.monotonic() > deadline:
            raise Unavailable(f"{what} is not there after {START_SECONDS} s")
        time.sleep(0.1)


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """A cluster; its daemons and jobs end with the block. Raises Unavailable where none starts."""
    missing = [
        p for p in PROGRAMS if not shutil.which(p, path=f"{os.environ['PATH']}:{DAEMONS_PATH}")
    ]
    if missing:
        raise Unavailable(f"not installed: {' '.join(missing)} (envs/setup.sh tests)")
    if os.getuid() != 0:
        raise Unavailable("slurmd needs root to start jobs")
    # directly below /tmp: the path of a socket has at most 108 characters
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        configure(folder)
        cluster = Cluster(folder)
        daemons: list[subprocess.Popen] = []
        try:
            for command in commands(folder):
                daemons.append(start(command, cluster))
                if command[0] == "munged":
                    wait_until((folder / "munge/socket").is_socket, daemons, "munged's socket")
            wait_until(lambda: idle_nodes(cluster) == 2, daemons, "a cluster of two idle nodes")
            yield cluster
        except Unavailable as error:
            logs = [path.read_text()[-1000:] for path in sorted((folder / "log").iterdir())]
            raise Unavailable("\n".join([str(error), *logs])) from None
        finally:
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                cluster.ask("scancel", "--user", str(os.getuid()))
                deadline = time.monotonic() + 10
                while cluster.ask("squeue", "--noheader") and time.monotonic() < deadline:
                    time.sleep(0.2)
            for daemon in reversed(daemons):
                end(daemon)


def start(command: list[str], cluster: Cluster) -> subprocess.Popen:
    """Start a daemon that an interrupt of the tests does not reach, and that their death ends."""
    command = ["setpriv", "--pdeathsig", "TERM", *command]
    with open(cluster.folder / "log/output", "a") as output:
        return subprocess.Popen(
            command, env=cluster.environment, stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def idle_nodes(cluster: Cluster) -> int:
    """Number of nodes that wait for work; 0 while nobody answers."""
    try:
        return cluster.ask("sinfo", "--noheader", "--Node", "--format=%T").split().count("idle")
    except subprocess.SubprocessError:
        return 0


def end(daemon: subprocess.Popen) -> None:
    """Stop a daemon, by force where it does not listen."""
    for one in (signal.SIGTERM, signal.SIGKILL):
        daemon.send_signal(one)
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(10)
            return
