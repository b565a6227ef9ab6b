#!/usr/bin/env bash
# Runs a program of keras-bnsmooth from the wheels beside this file, without a network.
#
#   bash run.sh                                        the paper's runs of the VGG
#   bash run.sh apps.reproduce --jobs=3 --minutes=9    those, three at a time
#   bash run.sh MODULE FLAG...                         any other program
#
# The first two leave records, figures and report, without weights, in results.tgz.
set -euo pipefail
cd "$(dirname "$0")"

export KERAS_BACKEND="${KERAS_BACKEND:-@BACKEND@}"
# What JAX has compiled for one run serves the next.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$PWD/compiled}"
export PYTHONPATH="$PWD/site${PYTHONPATH:+:$PYTHONPATH}"

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
  # What follows overrides: a flag that is given twice counts the last time.
  shift
  python3 -m apps.reproduce "${paper[@]}" "$@"
  tar -czf results.tgz --exclude='*.keras' --exclude='*.npz' --exclude='events.*' \
    paper paper_report
else
  exec python3 -m "$@"
fi
