#!/usr/bin/env bash
# Several machines, DeepSpeed's launcher: one command on one of them, which reaches the others by ssh (pdsh installed).
#   HOSTFILE=base/engine/launch/hostfile base/engine/launch/hostfile.sh none --scale hub --model PATH_OR_ID --tasks mbpp.jsonl
# OPTIONS are further ones of the launcher, e.g. --no_ssh_check.
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# shellcheck disable=SC2086
exec "${PYTHON:-.venv/bin/python}" -m deepspeed.launcher.runner --hostfile "${HOSTFILE:-base/engine/launch/hostfile}" \
  --no_local_rank ${OPTIONS:-} --module mitigations "$@"
