"""What the author of an optimizer needs, besides the protocol `Optimizer`."""

from .engine.pareto import ParetoPoint as ParetoPoint
from .engine.problem import Problem as Problem
