#!/usr/bin/env bash
# Runs a program of keras-bnsmooth from the wheels beside this file, without a network.
#
#   bash run.sh                                  all of runs.txt, into results/
#   bash run.sh apps.run_list runs.txt --jobs=3  that, three at a time
#   bash run.sh MODULE FLAG...                   any other program
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
if [ $# = 0 ]; then
  set -- apps.run_list runs.txt
fi
exec python3 -m "$@"
