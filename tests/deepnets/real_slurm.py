"""A Slurm of one node on the loopback address, in a folder, for as long as a test needs it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd")
WITH_THIS_PROCESS = ("setpriv", "--pdeathsig", "TERM")  # a daemon ends if the tests are killed
NEEDED = (*DAEMONS, "setpriv", "sbatch", "srun", "squeue", "scontrol")
SYSTEM = "/usr/sbin"  # where Debian puts daemons; not on everybody's PATH

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
KillWait=1
InactiveLimit=0
ReturnToService=2
SlurmdParameters=config_overrides
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=2000 State=UNKNOWN
PartitionName=test Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def search_path() -> str:
    """PATH, with the folder of the daemons."""
    return os.pathsep.join((os.environ.get("PATH", ""), SYSTEM))


def missing() -> str:
    """Why a Slurm cannot be started here; empty if it can."""
    absent = [name for name in NEEDED if shutil.which(name, path=search_path()) is None]
    if absent:
        return f"{', '.join(absent)} not installed: apt-get install slurmctld slurmd slurm-client"
    return "" if os.getuid() == 0 else "slurmd starts jobs as root alone"


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which its commands work. The daemons, and what they have started, end with the block."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(ports=ports, folder=folder, user="root"))
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": search_path()}
    with ExitStack() as stack:
        for name in DAEMONS:
            node = ["-N", "localhost"] if name == "slurmd" else []
            stack.enter_context(daemon([shutil.which(name, path=search_path()) or name, "-D", *node], environment))
        stack.callback(cancel, environment)
        deadline = time.monotonic() + 30
        while "idle" not in ask(environment, "sinfo", "--noheader", "--format=%T"):
            if time.monotonic() > deadline:
                raise TimeoutError((folder / "slurmd.log").read_text() + (folder / "slurmctld.log").read_text())
            time.sleep(0.1)
        yield environment


@contextmanager
def daemon(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """A daemon in the foreground of its own session; ended with it, by force after a few seconds."""
    process = subprocess.Popen(
        [*WITH_THIS_PROCESS, *command],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(environment: dict[str, str], *command: str) -> str:
    """What a command of Slurm prints; nothing if it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    return done.stdout if done.returncode == 0 else ""


def cancel(environment: dict[str, str]) -> None:
    """End every job, and wait until they have, a few seconds at most."""
    ask(environment, "scancel", "--full", "--signal=KILL", "--me")
    ask(environment, "scancel", "--me")
    deadline = time.monotonic() + 10
    while ask(environment, "squeue", "--noheader").strip() and time.monotonic() < deadline:
        time.sleep(0.1)
