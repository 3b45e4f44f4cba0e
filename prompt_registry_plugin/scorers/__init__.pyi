"""The scorers by name. `lazy_names` reads this file at run time."""

from .agreement import Agreement as Agreement
from .agreement import ajudge_agreement as ajudge_agreement
from .agreement import judge_agreement as judge_agreement
from .builtin import Cost as Cost
from .builtin import JSONSchema as JSONSchema
from .builtin import Latency as Latency
from .builtin import Length as Length
from .builtin import Numeric as Numeric
from .builtin import Regex as Regex
from .builtin import ToolCalls as ToolCalls
from .equivalence import Equivalence as Equivalence
from .judges import Correctness as Correctness
from .judges import Groundedness as Groundedness
from .judges import Guidelines as Guidelines
from .judges import Judge as Judge
from .judges import Relevance as Relevance
from .judges import Safety as Safety
from .scorer import scorer as scorer
