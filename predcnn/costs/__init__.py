"""Costs of a module: parameters, multiply–adds, speed, memory."""

from predcnn.costs.counting import Profile, profile
from predcnn.costs.measuring import Throughput, describe_device, peak_memory, throughput
