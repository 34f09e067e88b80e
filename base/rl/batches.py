"""Batch arithmetic of an RL step, checked before anything is loaded (no torch)."""

from __future__ import annotations

from dataclasses import dataclass

from base.errors import UserError
from base.settings import RLSettings


@dataclass(frozen=True)
class BatchPlan:
    """One RL step: `prompts` groups of `group` completions, spread over ranks, in micro-batches; one optimiser step."""

    prompts: int
    group: int
    world_size: int
    rows_per_rank: int
    micro_batch: int
    micro_batches: int

    def __str__(self) -> str:
        rows = self.prompts * self.group
        return (
            f"{self.prompts} prompts x {self.group} completions = {rows} a step; {self.world_size} rank(s) x "
            f"{self.micro_batches} micro-batch(es) x {self.micro_batch}"
        )


def batch_plan(settings: RLSettings, world_size: int = 1) -> BatchPlan:
    """The batches of a step; `micro_batch` is an upper bound, whole groups are kept together where they fit.

    Raises:
        UserError: the numbers cannot work; names the nearest that do.
    """
    prompts, group = settings.prompts_per_step, settings.group
    for name, value in (
        ("steps", settings.steps),
        ("prompts_per_step", prompts),
        ("micro_batch", settings.micro_batch),
    ):
        if value < 1:
            raise UserError(f"rl.{name} must be at least 1, not {value}")
    if group < 2:
        raise UserError(f"rl.group must be at least 2 (advantages compare completions of one prompt), not {group}")
    rows = prompts * group
    if rows % world_size:
        step = next(n for n in range(1, world_size + 1) if n * group % world_size == 0)
        lower, upper = prompts // step * step, (prompts // step + 1) * step
        legal = " or ".join(str(n) for n in (lower, upper) if n)
        raise UserError(
            f"rl.prompts_per_step={prompts} x rl.group={group} = {rows} completions do not divide over {world_size} "
            f"ranks: set rl.prompts_per_step to {legal}"
        )
    local = rows // world_size
    fitting = [n for n in range(1, min(local, settings.micro_batch) + 1) if local % n == 0]
    whole = [n for n in fitting if n % group == 0]
    micro = max(whole or fitting)
    return BatchPlan(prompts, group, world_size, local, micro, local // micro)
