#!/bin/sh
# Equal budget: the stack and translator=spacetime, four minutes each, three seeds. Needs an idle machine of two cores.
#
#     scripts/dev/compare_spacetime.sh data.source=mnist          # overrides follow
set -eu
for seed in 1 2 3; do
  for choice in translator=moganet "translator=spacetime translator.space=moganet translator.time=attention"; do
    # shellcheck disable=SC2086  # a choice is several overrides
    predcnn train $choice seed=$seed minutes=4 "$@"
  done
done
