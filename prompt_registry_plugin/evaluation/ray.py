"""Run rollouts on a Ray cluster (the extra `ray`): `RunOptions(executor="ray")`.

It uses the cluster that `RAY_ADDRESS` names, or one that runs on this machine already, and else starts a local one. Workers import the
target and the scorers by name, from the folder that the run was started in, and open the same registry. A SQLite file has to be on a file
system that all nodes share; prefer PostgreSQL.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Executor


class RayExecutor:
    """Runs each rollout as a Ray task. A worker process keeps what it has set up for the next one."""

    def __init__(self) -> None:
        if find_spec("ray") is None:
            raise PluginError("Ray is not installed: pip install 'prompt-registry-plugin[ray]'")
        import ray

        self._started_cluster = not ray.is_initialized()
        if self._started_cluster:
            ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
        # A rollout mostly waits for models; Ray would otherwise run one for each core.
        self._perform: Any = ray.remote(num_cpus=0.05, max_retries=0)(_perform)

    async def run(self, work: str, candidate: str, example: str) -> str:
        """Return the rollout as JSON text; see `Executor`."""
        done: str = await self._perform.remote(work, candidate, example)
        return done

    def close(self) -> None:
        """Stop the local cluster, if this executor started it."""
        if self._started_cluster:
            import ray

            ray.shutdown()


def _perform(work: str, candidate: str, example: str) -> str:
    from prompt_registry_plugin.evaluation.remote import perform

    return perform(work, candidate, example)


@hookimpl
def prompt_registry_executor(name: str) -> Executor | None:
    """Return the executor `ray`."""
    return RayExecutor() if name == "ray" else None
