#!/usr/bin/env bash
# Runs a program from the source and wheels next to this file, without a network.
#
#   bash run.sh                                        the paper's runs of the VGG
#   bash run.sh apps.reproduce --jobs=3 --minutes=9    the same, three at a time
#   bash run.sh MODULE FLAG...                         any other program
#
# The first two write records, figures and report, without weights, to results.tgz.
set -euo pipefail
cd "$(dirname "$0")"

export KERAS_BACKEND="${KERAS_BACKEND:-@BACKEND@}"
# Share what JAX compiles between runs.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$PWD/compiled}"
export PYTHONPATH="$PWD/source:$PWD/site${PYTHONPATH:+:$PYTHONPATH}"

if [ ! -d site ]; then
  rm -rf partial-site
  python3 -m pip install --quiet --no-index --no-deps --target partial-site wheels/*.whl
  mv partial-site site
fi
if [ ! -f cifar10.npz ]; then
  python3 data/prepare.py --npz partial.npz
  mv partial.npz cifar10.npz
fi
paper=(--preset=paper --network=vgg --output=. --run_flags=--dataset=cifar10.npz)
if [ $# = 0 ]; then
  set -- apps.reproduce
fi
if [ "$1" = apps.reproduce ]; then
  # Arguments take precedence, since the last value of a repeated flag counts.
  shift
  python3 -m apps.reproduce "${paper[@]}" "$@"
  tar -czf results.tgz --exclude='*.keras' --exclude='*.npz' --exclude='events.*' \
    paper paper_report
else
  exec python3 -m "$@"
fi
