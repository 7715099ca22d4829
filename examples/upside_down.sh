#!/usr/bin/env bash
# Table 7's Gaussians of networks with global context lie below the middle of street scenes. If that is the
# scenes' doing, the same networks trained on the same scenes upside down must have theirs above it.
#   bash examples/upside_down.sh OUT
set -euo pipefail
out=${1:-upside-down}
for model in ${MODELS:-nonlocal encnet danet ann}; do
  for flipped in false true; do
    run=$out/$model-flipped-$flipped
    erfscope train synthetic-streets --model "$model" --backbone resnet18-small --size 257 --batch-size 4 \
      --iterations 200 --images 128 --data-option "flipped=$flipped" --set validation.every=0 --out "$run" --resume
    erfscope compute --model "$run/last.safetensors" --data synthetic-streets --data-option "flipped=$flipped" \
      --images 64 --out "$run/erf.h5" --overwrite
    erfscope fit-gaussian "$run/erf.h5" --json > "$run/gaussian.json"
  done
done
