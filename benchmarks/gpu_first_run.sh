#!/usr/bin/env bash
# What a lent GPU is to say about scratchnet, in three commands of at most ten minutes each:
#
#     bash benchmarks/gpu_first_run.sh kernels       # do the tests pass there, is compute-sanitizer content, each kernel's speed
#     bash benchmarks/gpu_first_run.sh training      # ResNet-50 in bf16 beside PyTorch, eager and then compiled; LeNet-5's epoch, and its way to 99%
#     bash benchmarks/gpu_first_run.sh inference     # ResNet-50 in TF32 beside PyTorch; ResNet-50 and VGG-16 for inference
#
# In each, what is worth most comes first. Logs and gpu.jsonl, which belongs into benchmarks/, go to $OUT (default: a folder
# gpu_first_run here). A part that fails or runs out of its time does not keep the others from running. The card's settings
# are left alone. MNIST is looked for in $SCRATCHNET_DATA; without it the epoch is timed on the package's digits, which its
# line says, and the way to 99% not at all.
#
# The seconds are limits. Guessed, for a machine whose caches are empty: the first use of a kernel compiles it, 1 to 3 s for
# each of some forty; importing PyTorch takes 5 to 10 s, in each of bench's processes; torch.compile one to two minutes for
# ResNet-50, its second mode half of that.
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
  tail -n "${lines:-8}" "$out/$name.log"
  summary+=("$name: exit $code, $((SECONDS - started)) s")
}

sanitized() { part "sanitizer_$1" "$2" compute-sanitizer --tool "$1" --error-exitcode 9 --launch-timeout 60 \
  python3 -m pytest -q -p no:cacheprovider -m gpu tests/gpu/test_cuda_conv_tensor.py \
  tests/gpu/test_cuda_bfloat16_operations.py tests/gpu/test_cuda_pointwise.py tests/gpu/test_cuda_windows.py; }

bench() { lines=16 part "$1" "$2" python3 -m scratchnet.bench "${@:3}" --device cuda --save "$out/gpu.jsonl"; }

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem --format=csv
case ${1:-kernels} in
kernels)                                         # results there are full of NaN before, which does what initcheck would
  lines=25 part info 30 python3 -m scratchnet.info --device cuda
  part tests 180 python3 -m pytest -q -p no:cacheprovider -m gpu tests/gpu
  sanitized memcheck 100
  lines=90 part kernels 130 python3 benchmarks/gpu_kernels.py --out "$out/gpu_kernels.jsonl"
  sanitized racecheck 80
  sanitized synccheck 35
  ;;
training)
  if [ -n "${SCRATCHNET_DATA:-}" ]; then digits=(); else digits=(--sample); fi
  bench resnet50_bf16_eager 110 resnet50 --batch 256 --precision bf16 --eager --rounds 5
  bench lenet5_epoch 65 lenet5 --mode epoch --batch 64 --rounds 5 "${digits[@]}"
  bench resnet50_bf16 275 resnet50 --batch 256 --precision bf16 --rounds 5
  bench lenet5_accuracy 105 lenet5 --mode accuracy --batch 64 --rounds 3
  ;;
inference)
  bench resnet50_tf32 110 resnet50 --batch 128 --precision tf32 --eager --rounds 5
  for model in resnet50 vgg16; do
    bench "${model}_inference_64" 110 "$model" --mode inference --batch 64 --precision tf32 --eager --rounds 5
  done
  bench resnet50_inference_1 225 resnet50 --mode inference --batch 1 --precision tf32 --rounds 5
  ;;
*)
  echo "gpu_first_run.sh: expected kernels, training or inference, got $1" >&2
  exit 2
  ;;
esac

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
