"""Speed comparisons with the reference implementations: one file per group.

A group is a function that takes ``wanted`` (name -> whether to measure that case) and yields cases
one by one, each built just before it is measured.
"""

from scripts.dev.speed import (
    data,
    forward,
    loop,
    metrics,
    operators,
    processes,
    recurrent,
    scan,
    start_up,
    train_step,
)

GROUPS = {
    "forward": forward.cases,
    "forward_compiled": forward.compiled_cases,
    "train_step": train_step.cases,
    "operators": operators.cases,
    "scan": scan.cases,
    "recurrent": recurrent.cases,
    "metrics": metrics.cases,
    "data": data.cases,
    "loop": loop.cases,
    "start_up": start_up.cases,
    "processes": processes.cases,
}
"""Group -> function of ``wanted`` that yields its cases."""

ALONE = ("forward_compiled",)
"""Groups that ``group=all`` skips: compiling every model takes a quarter of an hour."""
