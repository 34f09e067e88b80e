#!/usr/bin/env bash
# SLURM: every stage of an experiment, or of the paper's grid, as a job of GPUS ranks on each of NODES machines (submitit).
#   PARTITION=gpu GPUS=8 base/engine/launch/slurm.sh --experiment core --scale hub --model PATH_OR_ID --tasks mbpp.jsonl
# The command itself only submits and waits: start it on the login node, in tmux. --runs lies on a shared file system.
set -euo pipefail
exec "${PYTHON:-.venv/bin/python}" -m mitigations "$@" --cluster "${CLUSTER:-slurm}" ${PARTITION:+--partition "$PARTITION"} \
  --nodes "${NODES:-1}" --gpus "${GPUS:-8}" --cpus "${CPUS:-8}" --memory "${MEMORY:-256}" --minutes "${MINUTES:-720}"
