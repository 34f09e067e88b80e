"""The stages of a sweep as jobs of a cluster, through submitit: `pip install -e '.[cluster]'`, then `--cluster slurm`.

The sweep stays the scheduler: it submits a stage when all that it needs is done, and looks which jobs have ended. The folder
of runs lies on a file system that all machines share, locks included. A job of several GPUs or nodes is one stage on several
ranks. Before its time is over, a stage ends its step, writes a resume point and stops; the same command goes on with it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.stage import Stage
from base.workers import make_alone

CLUSTERS = ("slurm", "local")  # local: jobs are processes of this machine, as submitit's tests use it
POLL = 0.2  # seconds


LEAST = {"minutes": 1, "cpus": 1, "gpus": 0, "nodes": 1, "ranks": 0}  # of what a job may have


@dataclass(frozen=True)
class Resources:
    """What a job may have; `memory` in GB. `other`: further parameters of submitit, e.g. slurm_account=NAME.

    `gpus` and `ranks` are those of a node; 0 ranks: one a GPU. `cpus` are those of a rank.
    """

    cluster: str
    partition: str = ""
    minutes: int = 60
    cpus: int = 1
    memory: float = 4.0
    gpus: int = 0
    other: tuple[str, ...] = ()
    nodes: int = 1
    ranks: int = 0

    def __post_init__(self) -> None:
        """Raises UserError where a number cannot be."""
        for name, smallest in LEAST.items():
            if getattr(self, name) < smallest:
                raise UserError(f"--{name} must be at least {smallest}, not {getattr(self, name)}")
        if not 0 < self.memory < float("inf"):
            raise UserError(f"--memory must be more than 0 (GB), not {self.memory:g}")

    def parameters(self) -> dict[str, Any]:
        """As submitit names them.

        Raises:
            UserError: an entry of `other` is no NAME=VALUE.
        """
        found: dict[str, Any] = {
            "name": "edmund",
            "timeout_min": self.minutes,
            "cpus_per_task": self.cpus,
            "mem_gb": self.memory,
            "gpus_per_node": self.gpus,
        }
        if (ranks := self.ranks or max(1, self.gpus)) > 1 or self.nodes > 1:
            found |= {"nodes": self.nodes, "tasks_per_node": ranks}
        if self.partition:
            found["slurm_partition"] = self.partition
        for text in self.other:
            name, equals, value = text.partition("=")
            if not equals:
                raise UserError(f"cannot read '{text}': write it as NAME=VALUE, e.g. slurm_account=mine")
            found[name.strip()] = int(value) if value.strip().isdigit() else value.strip()
        return found


class Cluster:
    """An executor of mitigations.sweep. Use as a context manager; leaving it cancels the jobs that have not ended."""

    def __init__(self, resources: Resources, stages: Sequence[Stage], root: Path) -> None:
        self.root = root.resolve()
        session = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"  # local jobs are named by numbers that come again
        self.executor = _executor(resources, self.root / "stages" / "jobs" / session)
        self.jobs: dict[str, tuple[Any, Path]] = {}

    def start(self, stage: Stage, log: Path) -> None:
        """Submits a stage, whose output goes to `log`."""
        log = log.resolve()
        self.jobs[stage.key] = self.executor.submit(in_a_job, stage, self.root, str(log)), log

    def ended(self, seconds: float) -> list[tuple[str, int]]:
        """(key, exit code) of the jobs that ended, waiting for at most so long."""
        until = time.monotonic() + seconds
        while not (found := [key for key, (job, _) in self.jobs.items() if job.done()]):
            if time.monotonic() > until:
                return []
            time.sleep(POLL)
        return [(key, _code(*self.jobs.pop(key))) for key in found]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for job, _log in self.jobs.values():
            job.cancel()


def in_a_job(stage: Stage, root: Path, log: str) -> int:
    """base.workers.make_alone in a job, whose tasks are the ranks of the stage; SIGUSR2 says that its time is nearly over."""
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    place = JobEnvironment()
    if place.num_tasks > 1:
        os.environ.pop("MASTER_PORT", None)  # of whoever submitted it: jobs beside each other need ports of their own
        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        if place.num_nodes == 1:
            os.environ["MASTER_ADDR"] = "127.0.0.1"  # a host name that does not resolve must not matter
    return make_alone(stage, root, log, signal.SIGUSR2)


def _code(job: Any, log: Path) -> int:
    """The exit code of a job that ended, the first that is not 0 of its tasks; why it has none (cancelled, out of time or memory) stands at the end of its log."""
    error = job.exception()
    if error is None:
        return int(next((code for code in job.results() if code), 0))
    said = [type(error).__name__, *str(error).strip().splitlines()]
    with log.open("a", encoding="utf-8") as file:
        file.write(f"job {job.job_id} ended as {job.state}: {said[-1]}\n")
    return 1


def _executor(resources: Resources, folder: Path) -> Any:
    """Submitit's executor.

    Raises:
        UserError: submitit or the cluster's programs are not installed, or a parameter is none of submitit's.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("--cluster needs submitit: pip install -e '.[cluster]'") from None
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=resources.cluster)
        executor.update_parameters(**resources.parameters())
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        raise UserError(f"--cluster {resources.cluster}: {str(error).splitlines()[0]}") from None
    return executor
