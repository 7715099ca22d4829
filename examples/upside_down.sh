#!/usr/bin/env bash
# In Table 7 the Gaussians of networks with global context lie below the middle of street scenes. If the scenes cause
# this, the same network trained on the same scenes upside down must have its Gaussian above.
# Five minutes a network on one core:
#   bash examples/upside_down.sh OUT
set -euo pipefail
out=${1:-upside-down}
for seed in ${SEEDS:-0 1}; do
  for flipped in false true; do
    run=$out/seed$seed-flipped-$flipped
    scenes=(--data-option "flipped=$flipped")
    erfscope train synthetic-streets --model nonlocal --backbone resnet18 --output-stride 16 --size 257 \
      --iterations 250 --batch-size 4 --lr 0.05 --images 256 --seed "$seed" "${scenes[@]}" \
      --set validation.every=0 --out "$run" --resume
    erfscope compute --model "$run/last.safetensors" --data synthetic-streets "${scenes[@]}" \
      --images 48 --size 385 --out "$run/erf.h5" --overwrite
    erfscope fit-gaussian "$run/erf.h5"
  done
done
