#!/bin/sh
# Equal budget: the stack and translator=spacetime, four minutes each, three seeds. Needs an idle machine of two cores.
for seed in 1 2 3; do
  for choice in translator=moganet translator=gsta translator=gatedtransformer \
    "translator=spacetime translator.space=moganet translator.time=attention" \
    "translator=spacetime translator.space=moganet translator.time=moganet" \
    "translator=spacetime translator.space=attention translator.time=attention"; do
    # shellcheck disable=SC2086  # each choice is several overrides
    python scripts/train.py $choice seed=$seed trainer.max_time=00:00:04:00 "$@"
  done
done
