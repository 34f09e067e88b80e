#!/usr/bin/env bash
# Every GPU of this machine, a rank each; RANKS=2 says how many.
#   base/engine/launch/one_node.sh pm_penalty:weight=0.25,pairs=hacks --scale hub --model PATH_OR_ID --tasks mbpp.jsonl
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-.venv/bin/python}" -m torch.distributed.run --standalone --nproc-per-node "${RANKS:-gpu}" -m mitigations "$@"
