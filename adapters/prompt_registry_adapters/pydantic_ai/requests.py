"""The texts of one request: replaced by those of the registry, and as the recording has them.

Instructions, system prompts and the user's prompt of the current run are the agent's own texts. Of a history that was handed in, only
those system prompts are that Pydantic AI evaluates or adds anew: the rest belongs to other runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelRequest, SystemPromptPart, TextContent, TextPart, ToolReturnPart, UserPromptPart

from prompt_registry_adapters.pydantic_ai.naming import agent_name
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.descriptions import Descriptions
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.uri import SCHEME, is_prompt_uri

_DEFAULT_OUTPUT_TOOL = (
    "The final response which ends this conversation"  # Pydantic AI's own, after the name of one of several types
)
_ADDRESS_LINE = re.compile(rf"^({SCHEME}\S+)$", re.MULTILINE)


class RequestTexts:
    """Replaces the texts of a request that an agent is about to send, and keeps what is sent.

    `added` are the system prompts that were put into the history for this run.
    """

    def __init__(self, ctx: Any, request_context: Any, added: Sequence[Any]) -> None:
        self.context = request_context
        """The request, with the texts to send once `serve` was called."""
        self.place = Place(node="instructions", graph=agent_name(ctx.agent))
        self.descriptions = Descriptions(Place(graph=self.place.graph), ctx.deps)
        self._ctx = ctx
        self._added = added
        self._instructions: list[str] = []

    def serve(self) -> None:
        """Replace the texts, in copies of what holds them. Requests of this run are changed, so that its history holds what was sent."""
        parameters = self.context.model_request_parameters
        # An output is described twice, for both ways to ask for it. Only one is sent, and only that is recorded.
        unsent = Descriptions(Place(graph=self.place.graph), self._ctx.deps)
        tools, schemas = (self.descriptions, unsent) if _is_tool_output(self.context) else (unsent, self.descriptions)
        changed = {
            "function_tools": [
                self._serve_tool(tool, f"tools/{tool.name}", self.descriptions) for tool in parameters.function_tools
            ],
            "output_tools": self._serve_output_tools(parameters.output_tools, tools),
            "output_object": self._serve_output(parameters.output_object, schemas),
            "instruction_parts": self._serve_instructions(parameters.instruction_parts),
        }
        changed = {name: value for name, value in changed.items() if _differs(value, getattr(parameters, name))}
        if changed:
            self.context = replace(self.context, model_request_parameters=replace(parameters, **changed))
        messages = [self._serve_message(message) for message in self.context.messages]
        if _differs(messages, self.context.messages):
            self.context = replace(self.context, messages=messages)

    def messages(self) -> list[Mapping[str, Any]]:
        """Return the messages that are sent, in the words of the chat protocol. Call it after `serve`."""
        found: list[Mapping[str, Any]] = [{"role": "system", "content": text} for text in self._instructions]
        for message in self.context.messages:
            for part in message.parts:
                if isinstance(part, SystemPromptPart):
                    found.append({"role": "system", "content": part.content})
                elif isinstance(part, UserPromptPart):
                    found.append({"role": "user", "content": _blocks(part.content)})
                elif isinstance(part, ToolReturnPart):
                    found.append({"role": "tool", "content": str(part.content)})
                elif isinstance(part, TextPart):
                    found.append({"role": "assistant", "content": part.content})
        return found

    def _serve_system(self, text: str) -> str:
        return framework_prompts.serve_text(text, "system", self.place, self._ctx.deps)

    def _serve_user(self, text: str) -> str:
        if is_prompt_uri(text):
            return text  # whoever writes to the agent must not choose what is loaded
        return framework_prompts.serve_text(text, "user", self.place, self._ctx.deps)

    def _serve_instructions(self, parts: Sequence[Any] | None) -> Sequence[Any] | None:
        if not parts:
            return parts
        literals = _literal_instructions(self._ctx.agent)
        return [self._serve_part(part, literals) for part in parts]

    def _serve_part(self, part: Any, literals: Sequence[str]) -> Any:
        pieces = [part.content] if part.dynamic else _split(part.content, literals)
        served = [self._serve_system(piece) if piece.strip() else piece for piece in pieces]
        self._instructions += [piece for piece in served if piece.strip()]
        return part if served == pieces else replace(part, content="".join(served))

    def _serve_message(self, message: Any) -> Any:
        if not isinstance(message, ModelRequest):
            return message
        is_own = message.run_id == self._ctx.run_id
        has_tools = any(isinstance(part, ToolReturnPart) for part in message.parts)  # what a tool returned may have user parts
        parts = [self._serve_message_part(part, is_own, is_own and not has_tools) for part in message.parts]
        if not _differs(parts, message.parts):
            return message
        if is_own:
            message.parts = parts
            return message
        return replace(message, parts=parts)

    def _serve_message_part(self, part: Any, is_own: bool, is_asked: bool) -> Any:
        if isinstance(part, SystemPromptPart):
            if is_own or part.dynamic_ref is not None or any(part is added for added in self._added):
                return _with_content(part, self._serve_system(part.content))
        elif is_asked and isinstance(part, UserPromptPart):
            if isinstance(part.content, str):
                return _with_content(part, self._serve_user(part.content))
            items = [self._serve_item(item) for item in part.content]
            return _with_content(part, items) if _differs(items, part.content) else part
        return part

    def _serve_item(self, item: Any) -> Any:
        if isinstance(item, str):
            return self._serve_user(item)
        return _with_content(item, self._serve_user(item.content)) if isinstance(item, TextContent) else item

    def _serve_tool(self, tool: Any, key: str, descriptions: Descriptions) -> Any:
        text = tool.description
        described = text if str(text).endswith(_DEFAULT_OUTPUT_TOOL) else descriptions.serve(text, key)
        schema = descriptions.serve_schema(tool.parameters_json_schema, key)
        if described is text and schema is tool.parameters_json_schema:
            return tool
        return replace(tool, description=described, parameters_json_schema=schema)

    def _serve_output_tools(self, tools: Sequence[Any], descriptions: Descriptions) -> list[Any]:
        return [self._serve_tool(tool, "output" if len(tools) == 1 else f"output.{tool.name}", descriptions) for tool in tools]

    def _serve_output(self, output: Any, descriptions: Descriptions) -> Any:
        if output is None:
            return None
        described = descriptions.serve(output.description, "output")
        schema = descriptions.serve_schema(output.json_schema, "output")
        if described is output.description and schema is output.json_schema:
            return output
        return replace(output, description=described, json_schema=schema)


def names_prompts(ctx: Any, request_context: Any) -> bool:
    """Return whether a request that nothing else is done for has the address of a prompt in it."""
    parameters = request_context.model_request_parameters
    if any(SCHEME in part.content for part in parameters.instruction_parts or ()):
        return True
    if any(tool.description and SCHEME in tool.description for tool in parameters.function_tools):
        return True
    return any(
        isinstance(part, SystemPromptPart) and SCHEME in part.content
        for message in request_context.messages
        if isinstance(message, ModelRequest) and message.run_id == ctx.run_id
        for part in message.parts
    )


def system_prompts(messages: Sequence[Any]) -> list[Any]:
    """Return the system prompts of a history."""
    return [
        part
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, SystemPromptPart)
    ]


def _is_tool_output(request_context: Any) -> bool:
    """Return whether a structured output is asked for as a tool call, rather than as a schema of the answer."""
    mode = request_context.model_request_parameters.output_mode
    if mode == "auto":
        profile = request_context.model.profile  # a dictionary since Pydantic AI 2
        name = "default_structured_output_mode"
        mode = profile.get(name, "tool") if isinstance(profile, Mapping) else getattr(profile, name, "tool")
    return bool(mode == "tool")


def _literal_instructions(agent: Any) -> list[str]:
    """Return the instructions that an agent was given as texts; Pydantic AI sends them as one."""
    given = getattr(agent, "_instructions", None)
    texts = [getattr(each, "instruction", each) for each in given] if isinstance(given, list) else []
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def _split(content: str, literals: Sequence[str]) -> list[str]:
    """Return a text in pieces: the literals that it begins with, the space between them, and the rest; an address is a piece."""
    pieces: list[str] = []
    for literal in literals:
        rest = content.lstrip()
        if not rest.startswith(literal):
            break
        pieces += [content[: len(content) - len(rest)], literal]
        content = rest[len(literal) :]
    space = len(content) - len(content.lstrip()) if pieces else 0
    pieces += [content[:space], content[space:]]
    return [part for piece in pieces for part in (_ADDRESS_LINE.split(piece) if SCHEME in piece else [piece]) if part]


def _with_content(part: Any, content: Any) -> Any:
    return part if content is part.content or content == part.content else replace(part, content=content)


def _differs(now: Any, before: Any) -> bool:
    """Return whether a value or an item of a list is another object than it was."""
    if isinstance(now, list) and before is not None:
        return any(new is not old for new, old in zip(now, before, strict=True))
    return now is not before


def _blocks(prompt: Any) -> Any:
    """Return a user's prompt as the content of a chat message: its text, or a block for each part."""
    if isinstance(prompt, str):
        return prompt
    return [{"type": "text", "text": text} if (text := _item_text(item)) else {"type": type(item).__name__} for item in prompt]


def _item_text(item: Any) -> str | None:
    return item if isinstance(item, str) else item.content if isinstance(item, TextContent) else None


def plain_prompt(prompt: Any) -> str:
    """Return a user's prompt as one text; parts that are no text appear as their type."""
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    return " ".join(_item_text(item) or f"<{type(item).__name__}>" for item in prompt)
