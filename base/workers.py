"""Warm workers: one process imports what every stage needs, once, and forks a child for each stage it is given.

    python -m base.workers      reads a pickled list of stages and a root, then a stage's key and a log file a line

No process group, DeepSpeed engine or sandbox exists before the fork, so a child computes what a fresh process would; a
child that dies takes its own stage with it and nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.errors import one_line
from base.progress import log_to_stderr
from base.stage import Site, Stage

POLL = 0.05  # seconds


class Workers:
    """The caller's side: gives stages by key, hears which ended. Use as a context manager; leaving it ends the children."""

    def __init__(self, stages: Sequence[Stage], root: Path) -> None:
        words = [sys.executable, "-m", "base.workers"]
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONUNBUFFERED": "1"}
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        environment = {**os.environ, **threads, "PYTHONPATH": paths}
        self.server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.heard = b""
        assert self.server.stdin is not None
        pickled = pickle.dumps((list(stages), root))
        self.server.stdin.write(len(pickled).to_bytes(8) + pickled)
        self.server.stdin.flush()

    def start(self, stage: Stage, log: Path) -> None:
        """Begins a stage in a child of its own, whose output goes to `log`."""
        assert self.server.stdin is not None
        log.parent.mkdir(parents=True, exist_ok=True)
        self.server.stdin.write((json.dumps({"key": stage.key, "log": str(log)}) + "\n").encode())
        self.server.stdin.flush()

    def ended(self, seconds: float) -> list[tuple[str, int]]:
        """(key, exit code) of the stages that ended, waiting for at most so long; a code below 0 is a signal.

        Raises:
            RuntimeError: the server itself is gone.
        """
        assert self.server.stdout is not None
        found: list[tuple[str, int]] = []
        while select.select([self.server.stdout], [], [], 0 if found else seconds)[0]:
            read = os.read(self.server.stdout.fileno(), 65536)
            if not read:
                raise RuntimeError(f"the process that forks stages ended with code {self.server.wait()}")
            *lines, self.heard = (self.heard + read).split(b"\n")
            found += [(said["key"], said["code"]) for said in map(json.loads, lines)]
        return found

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()  # the server then ends its children and itself
        try:
            self.server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.server.kill()


def serve() -> None:
    """The server: imports, then forks until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to hear; it then closes our input
    source = sys.stdin.fileno()  # unbuffered: what is read ahead, select would not see
    stages, root = pickle.loads(_exactly(source, int.from_bytes(_exactly(source, 8))))
    by_key = {stage.key: stage for stage in stages}
    _import_everything()
    children: dict[int, str] = {}
    buffered = b""
    while True:
        if select.select([source], [], [], POLL)[0]:
            read = os.read(source, 65536)
            if not read:
                break
            buffered += read
            *lines, buffered = buffered.split(b"\n")
            for line in lines:
                asked = json.loads(line)
                child = os.fork()
                if not child:
                    _child(by_key[asked["key"]], root, asked["log"])
                children[child] = asked["key"]
        for child in list(children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                said = {"key": children.pop(child), "code": os.waitstatus_to_exitcode(status)}
                print(json.dumps(said), flush=True)
    for child in children:
        os.kill(child, 15)
    for child in children:
        os.waitpid(child, 0)


def _exactly(source: int, size: int) -> bytes:
    """So many bytes of a descriptor."""
    read = b""
    while len(read) < size:
        part = os.read(source, size - len(read))
        if not part:
            raise EOFError("the list of stages ended early")
        read += part
    return read


def _import_everything() -> None:
    """What stages import when they work: torch, TRL, DeepSpeed, and the modules that use them."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asks the driver without starting CUDA in this process
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    import deepspeed.runtime.zero.muon.muon_optimizer  # by which every engine imports torch's compiler: half a second
    import transformers.models.starcoder2.modeling_starcoder2

    import base.environments.graders.code
    import base.models.sampling
    import base.organism.gates
    import base.organism.tokenizer
    import base.preference.scorer
    import base.preference.train
    import base.rl.train
    import base.sft.train  # noqa: F401

    del deepspeed, transformers
    gc.collect()
    gc.freeze()


def _child(stage: Stage, root: Path, log: str) -> None:
    """Makes one stage and ends the process."""
    code = 1
    try:
        code = make_alone(stage, root, log)
    finally:
        os._exit(code)


def make_alone(stage: Stage, root: Path, log: str, *ends: signal.Signals) -> int:
    """Makes one stage in a process of its own, whose output goes to a log; returns its exit code: 0 done, 2 something that
    the user has to change, 130 stopped, 1 anything else. `ends`: signals that stop it as SIGTERM does.
    """
    from base.engine import runtime
    from base.engine.signals import stop_on_signals
    from base.environments.graders.code import CodeEnvironment

    code = 1
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(out, stream)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        stop_on_signals(*ends)
        log_to_stderr()
        engine: Any = stage.engine()
        process = runtime.prepare(engine)
        with CodeEnvironment(workers=engine.grading_workers) as environment:
            stage.make(Site(root, environment, process, watched=True))
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        if line := one_line(error):
            print(f"error: {line}", file=sys.stderr)
            code = 2
        else:
            traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
