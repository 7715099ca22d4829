"""A SLURM of one machine, started in a folder of its own on loopback, from Debian's packages."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
PACKAGES = "slurmctld slurmd slurm-client munge"
_SECONDS = 60

# Job credentials live as short as SLURM allows: so long a job waits that was queued again.
CONF = """\
ClusterName=erfscope
SlurmUser=root
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE
"""


def why_not() -> str:
    """Say why SLURM can't be started here; "" if it can."""
    # Debian's daemons are in sbin, which a user's path may lack.
    found = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        return f"{', '.join(missing)} isn't here; apt-get install {PACKAGES}"
    return "" if os.geteuid() == 0 else "SLURM's daemons need root"


@contextmanager
def cluster() -> Iterator[Path]:
    """Start munged, slurmctld and slurmd, yield slurm.conf; in the end cancel all jobs and stop the three."""
    folder = Path(tempfile.mkdtemp(prefix="erfscope-slurm-"))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        conf = _write_files(folder)
        os.environ["SLURM_CONF"] = str(conf)
        key, socket_path = folder / "munge" / "key", folder / "munge" / "socket"
        own = [f"--{name}-file={folder / 'munge' / name}" for name in ("pid", "log", "seed")]
        daemons.append(
            _start(folder, "munged", "-F", f"--key-file={key}", f"--socket={socket_path}", *own, user="munge")
        )
        wait_until(socket_path.exists, "munged")
        daemons.append(_start(folder, "slurmctld", "-D"))
        daemons.append(_start(folder, "slurmd", "-D"))
        wait_until(lambda: ask("sinfo", "--noheader", "--format=%t") == "idle\n", "an idle node")
        yield conf
        ask("scancel", "--me")
        wait_until(lambda: ask("squeue", "--noheader") == "", "the end of all jobs")
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(_SECONDS)
        os.environ.pop("SLURM_CONF", None)
        shutil.rmtree(folder)


def ask(*words: str) -> str:
    """Return what one of SLURM's commands says."""
    return subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False).stdout


def wait_until(holds: Callable[[], bool], what: str, seconds: float = _SECONDS) -> None:
    """Wait until something holds, or fail and say what didn't come."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what} hasn't come in {seconds:.0f} s")
        time.sleep(0.2)


def _write_files(folder: Path) -> Path:
    folder.chmod(0o755)  # munged refuses what others can't look into
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    for path in (folder / "munge", key):
        shutil.chown(path, "munge", "munge")
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=host, ports=_free_ports(2)))
    return conf


def _start(folder: Path, name: str, *words: str, user: str | None = None) -> subprocess.Popen[bytes]:
    """Start a daemon in the foreground, so that it can be stopped by its own process."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert path is not None
    with (folder / f"{name}.out").open("wb") as out:
        return subprocess.Popen(
            [path, *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
