"""Adoption: register the prompts that a recording found in the code, so that the registry replaces them at run time.

A template object is recognized by its hash, any other text by the template that it was rendered from. Both are bound to a prompt's name
and an alias, all in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, overload

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import AliasConflict, PromptExists, UnsupportedByStore, UserError, did_you_mean
from prompt_registry_plugin.masking import has_mask
from prompt_registry_plugin.masking.forms import MARK
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewMove, NewVersion
from prompt_registry_plugin.recording.explain import explain
from prompt_registry_plugin.records import CoverageRow, TextBinding, TraceFilter, digest
from prompt_registry_plugin.registry import validation, versions
from prompt_registry_plugin.registry.base import RegistryBase, current_user
from prompt_registry_plugin.registry.coverage import Finding, Findings, format_table
from prompt_registry_plugin.registry.serving import load_prompt
from prompt_registry_plugin.tracing.slots import slots_of
from prompt_registry_plugin.tracing.trace import Trace

_REASON = "adopted"
_MESSAGE = "adopted from the agent's code"
_OTHERS = 10  # recordings of the same agent whose texts are compared


class Adoption(Sequence[PromptVersion]):
    """The versions that were adopted, as a sequence, with the coverage table. `print` shows the table."""

    def __init__(self, adopted: Sequence[PromptVersion], coverage: Sequence[CoverageRow]) -> None:
        self._adopted = list(adopted)
        self.coverage = list(coverage)
        """A row for each text of the recording, adopted or not, and for each model call without instructions."""

    @overload
    def __getitem__(self, index: int) -> PromptVersion: ...

    @overload
    def __getitem__(self, index: slice) -> list[PromptVersion]: ...

    def __getitem__(self, index: int | slice) -> PromptVersion | list[PromptVersion]:
        return self._adopted[index]

    def __len__(self) -> int:
        return len(self._adopted)

    def __iter__(self) -> Iterator[PromptVersion]:
        return iter(self._adopted)

    def __eq__(self, other: object) -> bool:
        return list(other) == self._adopted if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # compared by content, like a list

    def __repr__(self) -> str:
        return f"<adopted: {', '.join(version.name for version in self) or 'nothing'}>"

    def __str__(self) -> str:
        return format_table(self.coverage)


def coverage(registry: RegistryBase, trace: Trace) -> list[CoverageRow]:
    """Return the coverage table of a recording: a row for each text that was sent to a model, and how far the registry knows it.

    The recording may be under way, finished or stored.
    """
    return find_texts(registry, trace).rows


def find_texts(registry: RegistryBase, trace: Trace, *, descriptions: bool = False, compare: bool = False) -> Findings:
    """Return the texts of a recording. With `compare`, stored recordings of the same name help to infer templates."""
    known = explain(trace if trace.is_masked else trace.snapshot())
    others = _texts_of_others(registry, known) if compare else {}
    texts, bindings = registry.loader.adopted_texts(), registry.loader.bindings()
    return Findings(known, texts, bindings, others, descriptions=descriptions)


def adopt(
    registry: RegistryBase,
    trace: Trace,
    *,
    names: Mapping[str, str | None] | None = None,
    alias: str = "production",
    descriptions: bool = False,
    taken: Literal["raise", "report"] = "raise",
) -> Adoption:
    """See `PromptRegistry.adopt`."""
    uri.check_alias(alias)
    names = dict(names or {})
    findings = list(find_texts(registry, trace, descriptions=descriptions, compare=True))
    possible = [finding.name for finding in findings if finding.template is not None or finding.role == "template"]
    if unknown := sorted(names.keys() - set(possible)):
        near = did_you_mean(unknown[0], possible) or f"; there are {', '.join(sorted(set(possible))) or 'none'}"
        raise UserError(f"no discovered prompt is called {unknown[0]!r}{near}")
    if not findings:
        raise UserError("the trace holds no prompts: enable() the framework's adapter, then record() a run of the agent")
    planned: list[tuple[Finding, str]] = []
    for finding in findings:
        name = _name_for(finding, names)
        if name is None:
            continue
        refusal = _refusal(registry, finding, uri.check_name(name), alias, named=finding.name in names)
        if refusal is not None:
            if taken == "raise" or finding.name in names:
                raise refusal.to_error()
            finding.detail = refusal.reason
            continue
        planned.append((finding, name))
    _check_names(planned)
    adopted = _write(registry, planned, _alone(findings, planned), alias)
    served = {version.name: version for version in adopted}
    for finding, name in planned:
        detail = finding.detail if finding.is_strict else ""
        if finding.state != "adopted" and served[name].template != finding.template:  # the alias stays where it is
            detail = f"{alias} serves version {served[name].version} in its place, until another one is promoted"
        finding.state, finding.detail, finding.name = "adopted", detail, name
        finding.needs_name = False
    return Adoption(adopted, [finding.to_row() for finding in findings])


def _name_for(finding: Finding, names: Mapping[str, str | None]) -> str | None:
    """Return the name to adopt a text under, or None to leave it alone."""
    if finding.state in ("served", "no prompt"):
        return None
    if finding.name in names and (finding.template is not None or finding.role == "template"):  # a user's text may share its name
        return names[finding.name]
    if finding.needs_name or ((finding.template is None or finding.state == "not adoptable") and finding.role != "template"):
        return None
    return finding.name


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a text cannot be adopted under a name."""

    kind: type[UserError]
    reason: str
    advice: str = ""
    """What to do about it, in the words of Python."""

    def to_error(self) -> UserError:
        return self.kind(f"{self.reason}; {self.advice}" if self.advice else self.reason)


def _refusal(registry: RegistryBase, finding: Finding, name: str, alias: str, *, named: bool) -> _Refusal | None:
    prompts = registry.store.prompts
    proposed, template = finding.name, finding.template
    leave_out = f"leave it out with names={{{proposed!r}: None}}"
    if finding.role == "template" and finding.state == "not adoptable" and not finding.needs_name:
        return _Refusal(UserError, f"prompt {proposed!r} cannot be adopted: {finding.detail}", leave_out)
    if has_mask(template):
        reason = f"The text of {proposed!r} cannot be adopted: a secret in it was masked, so {MARK} would be served instead"
        return _Refusal(UserError, reason, f"take the secret out of the text, or {leave_out}")
    bound = _bound_name(registry, finding)
    if bound is not None and bound != name:
        reason = f"the text of {proposed!r} is already adopted as {bound!r}; it cannot stand for {name!r} as well"
        return _Refusal(PromptExists, reason)
    if prompts.get(uri.PromptURI(f"{name}/{alias}")) is not None:
        return _Refusal(
            AliasConflict, f"prompts:/{name}/{alias} is a prompt of its own", f"adopt {proposed!r} under another name"
        )
    validation.check_folder(prompts, name)
    if finding.role != "template" and not hasattr(prompts, "adopt"):
        reason = (
            f"The registry {registry.place} keeps no adopted texts except template objects: its store, {type(prompts).__name__}, "
            "has no method `adopt`"
        )
        return _Refusal(UnsupportedByStore, reason, leave_out)
    known = prompts.versions(name)
    if known and not named and not any(version.template == template for version in known):
        reason = f"{name!r} is already a prompt with another text in {registry.place}"
        advice = (
            f"if this is its next version, say so with names={{{proposed!r}: {name!r}}}, otherwise adopt it under another name"
        )
        return _Refusal(PromptExists, reason, advice)
    return None


def _bound_name(registry: RegistryBase, finding: Finding) -> str | None:
    if finding.role == "template":
        bound = registry.loader.bindings().get(digest(finding.template))
        return bound[0] if bound else None
    texts = registry.loader.adopted_texts()
    same = [b for b in texts.bindings if (b.text_hash, b.role) == (finding.text_hash, finding.role)]
    here = (b.name for b in same if not (b.strict or finding.is_strict) or b.place in finding.places)
    return next(here, None)


def _check_names(planned: Sequence[tuple[Finding, str]]) -> None:
    """Raise `PromptExists` if two different texts would get one name."""
    by_name: dict[str, str] = {}
    for finding, name in planned:
        if by_name.setdefault(name, finding.text_hash) != finding.text_hash:
            raise PromptExists("two prompts would get one name; give them different ones with names={proposed: name}")


def _alone(findings: Sequence[Finding], planned: Sequence[tuple[Finding, str]]) -> set[tuple[str, str]]:
    """Return the (role, place) at which every text of the recording is adopted, so that another text there is a change."""
    adopted = {id(finding) for finding, _ in planned}
    sent = {(finding.role, place) for finding in findings for place in finding.places}
    left = {(f.role, place) for f in findings if id(f) not in adopted and f.state != "served" for place in f.places}
    return {(role, place) for role, place in sent - left if place}


def _write(
    registry: RegistryBase, planned: Sequence[tuple[Finding, str]], alone: set[tuple[str, str]], alias: str
) -> list[PromptVersion]:
    prompts = registry.store.prompts
    drafts: dict[str, NewVersion] = {}
    bindings: list[TextBinding] = []
    for finding, name in planned:
        known = next((v for v in prompts.versions(name) if v.template == finding.template), None)
        if known is None and finding.template is not None:
            drafts[name] = NewVersion(name, finding.template, commit_message=_MESSAGE, created_by=current_user())
        bindings += _bindings(finding, name, alias, known.version if known else 0, alone)
    versions.check_drafts(registry, list(drafts.values()))
    if hasattr(prompts, "adopt"):
        done = prompts.adopt(list(drafts.values()), bindings, by=current_user(), reason=_REASON)
        for version, is_new in done.versions:
            if is_new:
                registry.plugins.hook.prompt_registry_version_registered(version=version)
        for move in done.moves:
            registry.plugins.hook.prompt_registry_alias_moved(move=move)
    else:
        _write_one_by_one(registry, list(drafts.values()), bindings)
    return [load_prompt(registry, f"{uri.SCHEME}{name}@{alias}") for name in dict.fromkeys(name for _, name in planned)]


def _bindings(finding: Finding, name: str, alias: str, version: int, alone: set[tuple[str, str]]) -> Iterator[TextBinding]:
    for place in finding.places:
        detail: dict[str, object] = {"source": finding.source} if finding.source else {}
        if finding.key:
            detail["key"] = finding.key
        if finding.is_nested:
            detail["nested"] = True
        elif (finding.role, place) in alone:
            detail["alone"] = True
        yield TextBinding(finding.text_hash, place, finding.role, name, alias, version, finding.is_strict, detail)


def _write_one_by_one(registry: RegistryBase, drafts: Sequence[NewVersion], bindings: Sequence[TextBinding]) -> None:
    """Adopt template objects in a store that was written for version 0.1.0."""
    prompts = registry.store.prompts
    added = {version.name: version for version in versions.register_prompts(registry, drafts)}
    for binding in bindings:
        number = binding.version or added[binding.name].version
        if prompts.get(uri.PromptURI(binding.name, alias=binding.alias)) is None:
            move = prompts.move_alias(NewMove(binding.name, binding.alias, number, current_user(), _REASON))
            if move is not None:
                registry.plugins.hook.prompt_registry_alias_moved(move=move)
        prompts.bind(binding.text_hash, binding.name, binding.alias)


def _texts_of_others(registry: RegistryBase, trace: Trace) -> dict[tuple[str, str], list[str]]:
    """Return what the same places sent in other stored recordings of the same name."""
    if not any(found.get("reason") for span in trace.spans for found in (span.attributes.get("sources") or {}).values()):
        return {}
    found: dict[tuple[str, str], list[str]] = {}
    if registry.keeps_traces:
        for other in registry.store.traces.search(TraceFilter(name=trace.name, limit=_OTHERS)):
            for span in other.spans if other.id != trace.id else ():
                for slot in slots_of(span) if span.kind == "llm" else ():
                    reasoned = (span.attributes.get("sources") or {}).get(digest(slot.text), {}).get("reason")
                    if slot.place and reasoned:
                        found.setdefault((slot.role, slot.place), []).append(slot.text)
    return found


def rename_prompt(registry: RegistryBase, old: str, new: str, *, reason: str | None = None) -> PromptVersion:
    """Give a prompt another name, with its versions, aliases, tags, adopted texts and history. The old name stays unused.

    Raises `AliasConflict` while another prompt includes it, `PromptExists` if the new name is or was taken, and `PromptNotFound`.
    """
    uri.check_name(old)
    uri.check_name(new)
    prompts = registry.store.prompts
    if prompts.get(uri.PromptURI(old)) is None:
        raise registry.loader.not_found_error(uri.PromptURI(old))
    validation.check_folder(prompts, new)
    versions.check_not_included(registry, old, "change the include first")
    if not hasattr(prompts, "rename"):
        kind = type(registry.store).__name__
        raise UnsupportedByStore(
            f"The registry {registry.place} cannot rename prompts: its store, {kind}, has no method `rename`."
        )
    prompts.rename(old, new, by=current_user(), reason=reason)
    return load_prompt(registry, new)
