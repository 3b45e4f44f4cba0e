"""Plans before a run and proofs after it, and what the author of an optimizer needs besides the protocol `Optimizer`."""

from .engine.pareto import ParetoPoint as ParetoPoint
from .engine.plan import OptimizationPlan as OptimizationPlan
from .engine.problem import Problem as Problem
from .planning import aplan_optimization as aplan_optimization
from .planning import plan_optimization as plan_optimization
from .proving import aprove_run as aprove_run
from .proving import prove_run as prove_run
from .proving import register_run as register_run
