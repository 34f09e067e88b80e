#!/usr/bin/env bash
# Several machines, torchrun: the same command on each, with its own number. HOST is machine 0, reachable by the others.
#   NODES=2 NODE=0 HOST=first base/engine/launch/nodes.sh none --scale hub --model PATH_OR_ID --tasks mbpp.jsonl
# The code, the model and --runs lie on a file system that all of them share.
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-.venv/bin/python}" -m torch.distributed.run --nnodes "$NODES" --node-rank "$NODE" \
  --master-addr "$HOST" --master-port "${PORT:-29500}" --nproc-per-node "${RANKS:-gpu}" -m mitigations "$@"
