"""Ours against the plain formulations: one file per group, one list of what there is."""

from predcnn.benchmarks import recurrent, scan

GROUPS = {"recurrent": recurrent.cases, "scan": scan.cases}
"""Group -> (wanted: which names) -> comparisons, built one after the other."""
