"""Ours against the plain formulations: one file per group, one list of what there is.

A group is a function of ``wanted``, which says what names to take, that gives one measurable case
after the other; a case is built when its turn comes.
"""

from predcnn.benchmarks import (
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
"""Group -> (wanted: which names) -> cases."""

ALONE = ("forward_compiled",)
"""Groups that ``all`` leaves out: compiling every model takes a quarter of an hour."""
