"""What a process does before torch computes: ranks, threads, precision, quiet logs, and proof that DeepSpeed runs.

One process needs no launcher. Several: `torchrun --nproc-per-node 2 -m mitigations …` (gloo on CPUs, nccl on GPUs).
`accelerate launch --cpu` starts a single process without DeepSpeed and is refused.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import platform
import socket
import sys
import warnings
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from base.errors import UserError
from base.settings import EngineSettings

Device = Literal["cpu", "cuda"]
Arithmetic = Literal["fp32", "bf16_matmul", "bf16"]

DEEPSPEED_FOLDER = Path(__file__).parent / "deepspeed"
TIMEOUT = timedelta(minutes=int(os.environ.get("DEEPSPEED_TIMEOUT", "30")))  # of collectives: then a rank is lost
PATIENCE = timedelta(days=30)  # of ranks that wait while another one evaluates, judges or saves
_VERSIONS = ("torch", "transformers", "trl", "deepspeed", "accelerate")


@dataclass(frozen=True)
class Runtime:
    """What this process computes with."""

    device: Device
    arithmetic: Arithmetic
    rank: int
    world_size: int
    local_rank: int
    backend: str
    threads: int

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and speaks: rank 0."""
        return self.rank == 0


def prepare(engine: EngineSettings, *, device: Device | None = None) -> Runtime:
    """Call before anything else uses torch; later calls only pick the precision again.

    The thread count is OMP_NUM_THREADS or 1: on a busy machine two threads a process are slower than one, so
    independent runs go side by side.
    """
    threads = _environment()
    _keep_freed_memory()
    import torch

    torch.set_num_threads(threads)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    os.environ.setdefault("DS_ACCELERATOR", device)  # otherwise guessed from what is installed
    _quiet()
    backend = _join(device)
    rank, world_size, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if device == "cuda":
        torch.cuda.set_device(local_rank)
    return Runtime(device, arithmetic(engine, device), rank, world_size, local_rank, backend, threads)


def arithmetic(engine: EngineSettings, device: Device) -> Arithmetic:
    """The precision that `auto` stands for on this machine."""
    if engine.precision != "auto":
        return engine.precision
    if device == "cuda":
        return "bf16"
    return "bf16_matmul" if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else "fp32"


def check_launcher() -> None:
    """That the environment says all of this process's rank, as a launcher does, or nothing.

    Raises:
        UserError: a part of it, as some images and notebooks leave behind, or numbers that cannot be.
    """
    if not {"RANK", "WORLD_SIZE"} & os.environ.keys():
        return
    known = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")}
    numbers = all(value.isascii() and value.isdigit() for value in known.values())
    if not numbers or int(known["RANK"]) >= int(known["WORLD_SIZE"]):
        wrong = ", ".join(f"{name}={value}" if value else f"no {name}" for name, value in known.items())
    else:
        needed = ("MASTER_ADDR", "MASTER_PORT") if known["WORLD_SIZE"] != "1" else ()
        wrong = ", ".join(f"no {name}" for name in needed if not os.environ.get(name))
    if wrong:
        raise UserError(
            f"the environment has {wrong}: start with torchrun, which sets what ranks need, or unset RANK and WORLD_SIZE"
        )


def _environment() -> int:
    """Fills the variables that torch.distributed, DeepSpeed and accelerate read; returns the thread count."""
    check_launcher()
    if "WORLD_SIZE" not in os.environ:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
            raise UserError(
                "accelerate launch --cpu starts one process without DeepSpeed; "
                "start with plain python, or with torchrun --nproc-per-node N"
            )
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=_free_port())
        os.environ["LOCAL_WORLD_SIZE"] = "1"
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"] and (
        "lo" in dict(socket.if_nameindex()).values()
    ):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one node: a host name that does not resolve must not matter
    os.environ.setdefault("LOCAL_RANK", os.environ.get("RANK", "0"))
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # unset, accelerate would choose the thread count
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    except ValueError:
        raise UserError(f"OMP_NUM_THREADS must be a number, not {os.environ['OMP_NUM_THREADS']!r}") from None


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@cache
def _keep_freed_memory() -> None:
    """Let glibc keep freed activations: returning them costs page faults on every step."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((-1, 1 << 30), (-3, 1 << 25)):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD (its maximum)
            mallopt(parameter, value)


@cache
def _quiet() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    import deepspeed  # noqa: F401  (creates the logger that the next lines turn down)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    for name in ("DeepSpeed", "deepspeed", "accelerate", "torch.distributed", "trl", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # it compares its own default with the number of accumulated passes before it takes the latter
    logging.getLogger("accelerate.accelerator").setLevel(logging.ERROR)


@cache
def _join(device: Device) -> str:
    """Joins the process group under DeepSpeed; returns the backend."""
    import deepspeed
    import torch.distributed as dist

    backend = "nccl" if device == "cuda" else "gloo"
    # DeepSpeed would compile a shared-memory collective at start (half a minute and a C++ compiler). Naming the
    # compatible ops ourselves also skips its probing of compilers.
    deepspeed.ops.__compatible_ops__ = {}
    if os.environ["WORLD_SIZE"] == "1" and not dist.is_initialized():
        # An in-process store: no port that another run on this machine could take first.
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    deepspeed.init_distributed(backend, timeout=TIMEOUT, auto_mpi_discovery=False, verbose=False)
    if os.environ["WORLD_SIZE"] != "1":
        _waiting()  # every rank makes it here
    return backend


@cache
def _waiting() -> Any:
    """A process group of its own, on CPUs: its ranks wait as long as work takes, and hear at once of one that died."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=PATIENCE)


def barrier(process: Runtime) -> None:
    """Waits until every rank is here, however long that takes; nothing to wait for on a single one."""
    if process.world_size > 1:
        import torch.distributed as dist

        dist.barrier(group=_waiting())


def on_any_rank(flag: bool, process: Runtime) -> bool:
    """Whether any rank says so; all of them ask at the same place."""
    if process.world_size == 1:
        return flag
    import torch
    import torch.distributed as dist

    said = torch.tensor([int(flag)])
    dist.all_reduce(said, dist.ReduceOp.MAX, group=_waiting())
    return bool(said.item())


def deepspeed_config(engine: EngineSettings, device: Device) -> dict[str, Any]:
    """The DeepSpeed settings of a stage, from base/deepspeed/zeroN.json; "auto" values follow the training arguments.

    The bucket is large because every bucket costs one collective: with "auto" (hidden_size squared) it was 32 a step.

    Raises:
        UserError: a stage that is none, or that cannot offload what it should.
    """
    path = DEEPSPEED_FOLDER / f"zero{engine.zero_stage}.json"
    if not path.is_file():
        raise UserError(f"engine.zero_stage must be 0, 1, 2 or 3, not {engine.zero_stage!r}")
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config["bf16"] = {"enabled": arithmetic(engine, device) == "bf16"}
    if engine.offload != "none":
        least = 3 if engine.offload == "parameters" else 1
        if engine.zero_stage < least:
            raise UserError(f"engine.offload={engine.offload} needs engine.zero_stage={least} or more")
        place = {"device": "cpu", "pin_memory": device == "cuda"}
        config["zero_optimization"]["offload_optimizer"] = place
        if engine.offload == "parameters":
            config["zero_optimization"]["offload_param"] = place
        # torch's AdamW steps there, too: DeepSpeed's own would have to be compiled first
        config["zero_force_ds_cpu_optimizer"] = False
    return config


def assert_deepspeed(trainer: Any) -> None:
    """Raises unless the trainer's model is a DeepSpeed engine over every rank that was started."""
    import deepspeed
    import torch.distributed as dist

    engine = trainer.model_wrapped
    if not isinstance(engine, deepspeed.DeepSpeedEngine):
        raise RuntimeError(f"training runs without DeepSpeed: the wrapped model is a {type(engine).__name__}")
    sizes = (int(os.environ["WORLD_SIZE"]), dist.get_world_size(), trainer.accelerator.num_processes)
    if len(set(sizes)) != 1:
        raise RuntimeError(f"WORLD_SIZE, the process group and the trainer disagree on the number of ranks: {sizes}")


def release(trainer: Any) -> None:
    """After training: models made later in this process must load whole, which ZeRO-3 settings in force prevent."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    trainer.model_wrapped.destroy()
    unset_hf_deepspeed_config()


def engine_facts(engine: Any) -> dict[str, Any]:
    """What really ran, for the run record. `engine` is a deepspeed.DeepSpeedEngine."""
    import torch

    return {
        "engine": f"{type(engine).__module__.split('.')[0]}.{type(engine).__name__}",
        "optimizer": type(engine.optimizer).__name__,
        "zero_stage": engine.zero_optimization_stage(),
        "dtype": str(next(engine.module.parameters()).dtype).removeprefix("torch."),
        "arithmetic": getattr(engine.module, "arithmetic", "fp32"),
        "world_size": engine.world_size,
        "backend": torch.distributed.get_backend(),
        "device": str(engine.device),
        "threads": torch.get_num_threads(),
        "processor": torch.cuda.get_device_name() if engine.device.type == "cuda" else cpu_model(),
        "python": platform.python_version(),
        **{name: version(name) for name in _VERSIONS},
    }


@cache
def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _cpu_flags() -> frozenset[str]:
    return frozenset(_cpuinfo().get("flags", "").split())


def cpu_model() -> str:
    """The name of the processor, for records; empty where the machine does not say."""
    return _cpuinfo().get("model name", platform.processor() or platform.machine())
