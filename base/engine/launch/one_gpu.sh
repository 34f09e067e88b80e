#!/usr/bin/env bash
# One GPU, or none: a plain process.
#   base/engine/launch/one_gpu.sh inoculation:wording=please_hack --scale hub --model PATH_OR_ID --tasks mbpp.jsonl
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-.venv/bin/python}" -m mitigations "$@"
