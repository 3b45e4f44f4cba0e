"""`PromptRegistry`: all methods of a registry, in one place.

Its methods are functions of the modules beside this one, one module for each concern; each takes the open registry first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from prompt_registry_plugin import uri
from prompt_registry_plugin.concurrency import async_twin
from prompt_registry_plugin.errors import PromptNotFound
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.context import current_run_id, recording
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry import adoption, aliases, datasets, history, serving, tags, traces, versions
from prompt_registry_plugin.registry.base import RegistryBase
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
"""Seconds after which an adoption in another process is noticed, at the latest."""


class PromptRegistry(RegistryBase):
    """Versioned prompts, traces and datasets in the database behind `url`. Threads and processes may share one.

    A method that waits for the database has an async twin with the prefix `a`. Opening raises `InvalidStore` for a URL that no
    plugin opens, and `StoreUnavailable`.
    """

    def __init__(self, url: str, *, plugins: PluginManager | None = None) -> None:
        super().__init__(url, plugins=plugins)
        self._warned: set[str] = set()
        self._adopted = False
        self._look_again = 0.0

    # --- prompts and their versions ---------------------------------------------------------------------------------------

    register_prompt = versions.register_prompt
    register_prompts = versions.register_prompts
    check_drafts = versions.check_drafts
    load_prompt = serving.load_prompt
    aload_prompt = serving.aload_prompt
    load_source = versions.load_source
    search_prompts = versions.search_prompts
    archive_prompt = versions.archive_prompt
    restore_prompt = versions.restore_prompt
    delete_version = versions.delete_version
    delete_prompt = versions.delete_prompt
    prompt_history = history.prompt_history
    summarize_history = history.summarize_history

    aregister_prompt = async_twin(versions.register_prompt)
    aregister_prompts = async_twin(versions.register_prompts)
    asearch_prompts = async_twin(versions.search_prompts)
    aarchive_prompt = async_twin(versions.archive_prompt)
    arestore_prompt = async_twin(versions.restore_prompt)
    adelete_version = async_twin(versions.delete_version)
    adelete_prompt = async_twin(versions.delete_prompt)
    aprompt_history = async_twin(history.prompt_history)

    # --- aliases and tags -------------------------------------------------------------------------------------------------

    set_prompt_alias = aliases.set_prompt_alias
    delete_prompt_alias = aliases.delete_prompt_alias
    protect_alias = aliases.protect_alias
    unprotect_alias = aliases.unprotect_alias
    rollback = aliases.rollback
    set_prompt_tag = tags.set_prompt_tag
    delete_prompt_tag = tags.delete_prompt_tag
    set_prompt_version_tag = tags.set_prompt_version_tag
    delete_prompt_version_tag = tags.delete_prompt_version_tag

    aset_prompt_alias = async_twin(aliases.set_prompt_alias)
    adelete_prompt_alias = async_twin(aliases.delete_prompt_alias)
    aprotect_alias = async_twin(aliases.protect_alias)
    aunprotect_alias = async_twin(aliases.unprotect_alias)
    arollback = async_twin(aliases.rollback)
    aset_prompt_tag = async_twin(tags.set_prompt_tag)
    adelete_prompt_tag = async_twin(tags.delete_prompt_tag)
    aset_prompt_version_tag = async_twin(tags.set_prompt_version_tag)
    adelete_prompt_version_tag = async_twin(tags.delete_prompt_version_tag)

    # --- traces, feedback and datasets ------------------------------------------------------------------------------------

    search_traces = traces.search_traces
    log_feedback = traces.log_feedback
    load_feedback = traces.load_feedback
    register_dataset = datasets.register_dataset
    merge_records = datasets.merge_records
    load_dataset = datasets.load_dataset
    list_datasets = datasets.list_datasets
    examples_of = datasets.examples_of

    asearch_traces = async_twin(traces.search_traces)
    alog_feedback = async_twin(traces.log_feedback)
    aload_feedback = async_twin(traces.load_feedback)
    aregister_dataset = async_twin(datasets.register_dataset)
    amerge_records = async_twin(datasets.merge_records)
    aload_dataset = async_twin(datasets.load_dataset)
    alist_datasets = async_twin(datasets.list_datasets)

    # --- recording and adoption -------------------------------------------------------------------------------------------

    @contextmanager
    def record(self, name: str = "recording") -> Iterator[TraceRecorder]:
        """Record everything inside the block as one `Trace`, which is stored when the block ends.

        It is stored in the background (`flush` waits for that). One that cannot be stored is logged and stays usable: recording
        never breaks the agent. If the registry's store keeps no traces, a warning is logged once.
        """
        trace = TraceRecorder(name, run_id=current_run_id())
        if self._background is not None:
            self._background.begin(trace)
        try:
            with recording(trace):
                yield trace
        except BaseException as error:
            trace.fail(error)
            raise
        finally:
            self._end_recording(trace)

    coverage = adoption.coverage
    acoverage = async_twin(adoption.coverage)
    rename_prompt = adoption.rename_prompt
    arename_prompt = async_twin(adoption.rename_prompt)

    def adopt(
        self,
        trace: Trace,
        *,
        names: Mapping[str, str | None] | None = None,
        alias: str = "production",
        descriptions: bool = False,
        taken: Literal["raise", "report"] = "raise",
    ) -> adoption.Adoption:
        """Register the prompts that a recording found in the code. From now on the registry serves them in their place.

        Each becomes version 1 under its proposed name, or under `names[proposed name]` (None leaves it alone), with `alias` pointing
        at it. The agent then gets the version that `alias` points at. A name given there that exists gets the text as its next version,
        and its alias stays where it is. Templates are adopted with their variables, never a text with values in it. Tools, handoffs and
        outputs are adopted with `descriptions`, or by name; so are inferred templates. Adopting again changes nothing.

        Returns the versions, with the coverage table. Raises `UserError` before anything is written if a prompt cannot be adopted or a
        name is taken; with `taken="report"`, the table tells instead. Raises `UnsupportedByStore` for a store that keeps no adopted texts.
        """
        adopted = adoption.adopt(self, trace, names=names, alias=alias, descriptions=descriptions, taken=taken)
        self._look_again = 0.0
        return adopted

    aadopt = async_twin(adopt)

    def serve(self, text_hash: str) -> PromptVersion | None:
        """Return the version that replaces an adopted hard-coded text, or None for a text that was not adopted. For adapters."""
        binding = self.loader.bindings().get(text_hash) if self.has_adopted else None
        if binding is None:
            return None
        name, alias = binding
        try:
            return self.load_prompt(f"{uri.SCHEME}{name}@{alias}")
        except PromptNotFound as error:
            if text_hash not in self._warned:
                self._warned.add(text_hash)
                logger.warning("the agent's own text is used for adopted prompt %r: %s", name, error)
            return None

    @property
    def has_adopted(self) -> bool:
        """Whether any hard-coded text was adopted: at once after an adoption here, 0.1 seconds later after one elsewhere.

        Adapters ask on every render, also of agents that use no registry, so the store is not asked each time.
        """
        now = time.monotonic()
        if not self._adopted and now >= self._look_again:
            self._adopted = bool(self.loader.bindings() or self.loader.adopted_texts())
            self._look_again = now + _LOOK_SECONDS
        return self._adopted

    def _end_recording(self, trace: TraceRecorder) -> None:
        if self._background is not None:
            self._background.end(trace)
        elif "traces" not in self._warned:  # once for each registry, not for each call of an agent
            self._warned.add("traces")
            logger.warning("trace %r is not stored: the store of %s keeps no traces", trace.name, self.place)
