#!/usr/bin/env bash
# All that a lent GPU is to say about kernels/cuda, in one command of at most ten minutes: do the tests pass there, is
# compute-sanitizer content, and how fast is each kernel. Logs go to $OUT (default: a folder gpu_first_run here).
#
#     bash benchmarks/gpu_first_run.sh
#
# Leaves the card's settings alone. A part that fails or runs out of time does not keep the others from running.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-gpu_first_run}
mkdir -p "$out"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
summary=()

part() {                                         # NAME SECONDS COMMAND...
  local name=$1 limit=$2 started=$SECONDS
  shift 2
  printf '\n=== %s\n' "$name"
  timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1
  local code=$?
  tail -n "${lines:-6}" "$out/$name.log"
  summary+=("$name: exit $code, $((SECONDS - started)) s")
}

sanitized() { part "sanitizer_$1" "$2" compute-sanitizer --tool "$1" --error-exitcode 9 --launch-timeout 60 \
  python3 -m pytest -q -p no:cacheprovider -m gpu "${@:3}"; }

kernels="tests/gpu/test_cuda_pointwise.py tests/gpu/test_cuda_windows.py"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem --format=csv
lines=20 part info 60 python3 -m scratchnet.info --device cuda
part tests 150 python3 -m pytest -q -p no:cacheprovider -m gpu tests/gpu
lines=60 part kernels 150 python3 benchmarks/gpu_kernels.py --out "$out/gpu_kernels.jsonl"
sanitized memcheck 90 $kernels
sanitized racecheck 90 $kernels
sanitized synccheck 40 $kernels

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
