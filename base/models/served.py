"""Answers of a checkpoint through vLLM, which runs in a process of its own: its memory is free again when that ends, and our
process group is not in its way.

    python -m base.models.served CHECKPOINT     a JSON object a line in (what `Served` was called with), one a line out

Tried with a stand-in for vLLM; not run on a GPU by its authors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.models.draws import Samples
from base.seeds import derive_seed

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

OF_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FREE = 0.9  # of the GPU's free memory that vLLM may take


class Served:
    """A decoder (base.models.draws.Generator) on the GPU of this rank; `ends` are the tokens that end a completion."""

    name = "vllm"

    def __init__(self, checkpoint: Path, ends: Sequence[int], process: Runtime) -> None:
        self.ends = list(ends)
        environment = {name: value for name, value in os.environ.items() if name not in OF_RANKS}
        if process.device == "cuda":
            environment["CUDA_VISIBLE_DEVICES"] = _gpu(process.local_rank)
        words = [sys.executable, "-m", "base.models.served", str(checkpoint)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen(words, env=environment, **pipes)
        weakref.finalize(self, _end, self.server)

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        seed: int,
        samples: int = 1,
        temperature: float = 1.0,
        skip: int = 0,
    ) -> Samples:
        rows = [list(prompt) for prompt in prompts for _ in range(samples)]
        asked = {
            "rows": rows,
            "seeds": [derive_seed("vllm", seed, skip + place) for place in range(len(rows))],
            "max_tokens": max_new_tokens,
            "temperature": temperature,
            "ends": self.ends,
        }
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        said = self.server.stdout.readline()
        if not said:
            raise RuntimeError(f"the process of vLLM ended with code {self.server.wait()}: what it said stands above")
        return Samples(**json.loads(said))


def _gpu(local_rank: int) -> str:
    """What CUDA_VISIBLE_DEVICES calls the GPU of a rank."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return visible.split(",")[local_rank] if visible else str(local_rank)


def _end(server: subprocess.Popen[str]) -> None:
    server.terminate()
    server.wait()
    for pipe in (server.stdin, server.stdout):
        if pipe is not None:
            pipe.close()


def serve(checkpoint: str) -> None:
    """The process: answers until its input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM logs to standard output
    import torch
    from vllm import LLM, SamplingParams

    share = 0.9
    if torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        share = FREE * free / whole
    llm = LLM(model=checkpoint, gpu_memory_utilization=share, logprobs_mode="processed_logprobs")
    for line in sys.stdin:
        asked = json.loads(line)
        own = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}  # the model's own distribution
        shared = {**own, "logprobs": 0, "stop_token_ids": asked["ends"]}
        shared |= {name: asked[name] for name in ("max_tokens", "temperature")}
        wanted = [SamplingParams(seed=seed, **shared) for seed in asked["seeds"]]
        prompts = [{"prompt_token_ids": row} for row in asked["rows"]]
        found = [each.outputs[0] for each in llm.generate(prompts, sampling_params=wanted, use_tqdm=False)]
        completions = [list(each.token_ids) for each in found]
        logprobs = [[step[i].logprob for i, step in zip(each.token_ids, each.logprobs, strict=True)] for each in found]
        print(json.dumps({"completions": completions, "logprobs": logprobs}), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
