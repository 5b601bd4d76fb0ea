"""Renderers: what a provider's or a model's own code makes of a request. Each gives the number of tokens of each body of a batch,
or None for a request that it refuses."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import jinja2
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from openai_harmony import (
    Author,
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    Message,
    Role,
    SystemContent,
    ToolDescription,
    load_harmony_encoding,
)

from vocabularies import as_json, open_vocabulary

Body = dict
Counter = Callable[[list[Body]], list[int | None]]

SPECIAL_TOKEN = re.compile(r"<[|｜][^<>|｜\s]+[|｜]>|\[/?[A-Z_]{3,}\]|</?s>|\]<\]\w+\[>\[|\]~!?b[\[\]]|\[e~\[")
# Marks what the model wrote, for training. It renders nothing.
GENERATION_TAG = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)
# Anthropic publishes 159 to 530 tokens for the prompt that tools add, by model.
ANTHROPIC_TOOL_PROMPT_TOKENS = 530


def texts_of(content: object) -> str:
    """A message's content is a string here, or nothing."""
    return content if isinstance(content, str) else ""


class Harmony:
    """openai-harmony, OpenAI's own renderer of gpt-oss."""

    def __init__(self, _packages: dict[str, str]) -> None:
        self._encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)

    def counts(self, bodies: list[Body]) -> list[int | None]:
        return [self._count_or_refuse(body) for body in bodies]

    def _count_or_refuse(self, body: Body) -> int | None:
        try:
            return self._count(body)
        except ValueError:  # It reads 127 levels of nesting.
            return None

    def _count(self, body: Body) -> int:
        instructions = body.get("instructions")
        spoken: list[Message] = []
        for item in body.get("messages") or body.get("input") or []:
            if item.get("role") == "system":
                instructions = item["content"]
            else:
                spoken.extend(self._messages(item))
        messages = [Message.from_role_and_content(Role.SYSTEM, SystemContent.new().with_conversation_start_date("2026-11-30"))]
        tools = [tool.get("function", tool) for tool in body.get("tools", [])]
        if instructions is not None or tools:
            developer = DeveloperContent.new()
            if instructions is not None:
                developer = developer.with_instructions(instructions)
            if tools:
                developer = developer.with_function_tools(
                    [ToolDescription.new(tool["name"], tool.get("description", ""), tool["parameters"]) for tool in tools]
                )
            messages.append(Message.from_role_and_content(Role.DEVELOPER, developer))
        conversation = Conversation.from_messages(messages + spoken)
        return len(self._encoding.render_conversation_for_completion(conversation, Role.ASSISTANT))

    def _messages(self, item: dict) -> list[Message]:
        if item.get("type") == "function_call":
            return [self._call(item)]
        if item.get("type") == "function_call_output":
            return [self._result(item["output"])]
        if item["role"] == "tool":
            return [self._result(item["content"])]
        if "tool_calls" in item:
            return [self._call(call["function"]) for call in item["tool_calls"]]
        role = Role.USER if item["role"] == "user" else Role.ASSISTANT
        message = Message.from_role_and_content(role, item["content"])
        return [message if role == Role.USER else message.with_channel("final")]

    @staticmethod
    def _call(function: dict) -> Message:
        message = Message.from_role_and_content(Role.ASSISTANT, function["arguments"])
        return message.with_channel("commentary").with_recipient("functions." + function["name"]).with_content_type("json")

    @staticmethod
    def _result(result: str) -> Message:
        author = Author.new(Role.TOOL, "functions.f")
        return Message.from_author_and_content(author, result).with_channel("commentary").with_recipient("assistant")


class CookbookRule:
    """OpenAI's published rule (cookbook, "How to count tokens with tiktoken"), with o200k. It knows enums of strings only."""

    def __init__(self, packages: dict[str, str]) -> None:
        self._vocabulary = open_vocabulary("o200k", packages, [])

    def counts(self, bodies: list[Body]) -> list[int | None]:
        return [self._count(body) for body in bodies]

    def _count(self, body: Body) -> int:
        framing = 3
        texts: list[str] = []
        for message in body["messages"]:
            framing += 3
            texts += [message["role"], texts_of(message.get("content"))]
            for call in message.get("tool_calls", []):
                texts += [call["function"]["name"], call["function"]["arguments"]]
        functions = [tool["function"] for tool in body.get("tools", [])]
        if functions:
            framing += 12
        for function in functions:
            framing += 7
            texts.append(f"{function['name']}:{function.get('description', '').removesuffix('.')}")
            properties = function["parameters"]["properties"]
            if properties:
                framing += 3
            for key, schema in properties.items():
                framing += 3
                items = [item for item in schema.get("enum", []) if isinstance(item, str)]
                if items:
                    framing += 3 * len(items) - 3
                    texts += items
                texts.append(f"{key}:{schema.get('type', '')}:{schema.get('description', '').removesuffix('.')}")
        return framing + sum(self._vocabulary.counts(texts))


class Mistral:
    """mistral-common, Mistral's own renderer."""

    def __init__(self, packages: dict[str, str], file: str) -> None:
        self._tokenizer = MistralTokenizer.from_file(str(Path(packages["mistral_common"]) / "data" / file))

    def counts(self, bodies: list[Body]) -> list[int | None]:
        return [self._count(body) for body in bodies]

    def _count(self, body: Body) -> int | None:
        try:
            request = ChatCompletionRequest.from_openai(messages=body["messages"], tools=body.get("tools"))
            return len(self._tokenizer.encode_chat_completion(request).tokens)
        except Exception:  # The package refuses requests by many exceptions of its own.
            return None


class Plain:
    """No renderer is public: the texts and the JSON of tools, after the prompt that is published. A stand-in."""

    def __init__(self, packages: dict[str, str], vocabulary: str, compact: bool) -> None:
        self._vocabulary = open_vocabulary(vocabulary, packages, [])
        self._compact = compact

    def counts(self, bodies: list[Body]) -> list[int | None]:
        counts = self._vocabulary.counts([self._text(body) for body in bodies])
        return [count + self._added(body) for count, body in zip(counts, bodies)]

    @staticmethod
    def _added(body: Body) -> int:
        return ANTHROPIC_TOOL_PROMPT_TOKENS if "tools" in body and "messages" in body else 0

    def _text(self, body: Body) -> str:
        if "contents" in body:
            return self._generate_text(body)
        parts = ["\n".join(as_json(tool, self._compact) for tool in body.get("tools", [])), body.get("system", "")]
        for message in body["messages"]:
            parts.append("\n\nHuman: " if message["role"] == "user" else "\n\nAssistant: ")
            content = message["content"]
            parts += [content] if isinstance(content, str) else [self._block(block) for block in content]
        return "".join([*parts, "\n\nAssistant:"])

    def _block(self, block: dict) -> str:
        if block["type"] == "tool_result":
            return f"<function_results>{block['content']}</function_results>"
        return f'<invoke name="{block["name"]}">{as_json(block["input"], self._compact)}</invoke>'

    def _generate_text(self, body: Body) -> str:
        parts = [as_json(tool, self._compact) for tool in body.get("tools", [])]
        if "systemInstruction" in body:
            parts.append("<start_of_turn>system\n" + body["systemInstruction"]["parts"][0]["text"] + "<end_of_turn>\n")
        for content in body["contents"]:
            part = content["parts"][0]
            said = part["text"] if "text" in part else as_json(part, self._compact)
            parts.append(f"<start_of_turn>{content['role']}\n{said}<end_of_turn>\n")
        return "".join([*parts, "<start_of_turn>model\n"])


class Template:
    """A model's published chat template, called as transformers and vLLM call it: arguments of calls are parsed first."""

    def __init__(self, packages: dict[str, str], name: str, vocabulary: str) -> None:
        source = (Path(packages["templates"]) / f"{name}.jinja").read_text()
        self._template = environment().from_string(GENERATION_TAG.sub("", source))
        special = sorted(set(SPECIAL_TOKEN.findall(source)))
        self._vocabulary = open_vocabulary(vocabulary, packages, special)

    def counts(self, bodies: list[Body]) -> list[int | None]:
        texts = [self._text(body) for body in bodies]
        counts = iter(self._vocabulary.counts([text for text in texts if text is not None]))
        # One more for the token at the beginning, which templates leave to the tokenizer.
        return [None if text is None else next(counts) + 1 for text in texts]

    def _text(self, body: Body) -> str | None:
        messages, tools = chat_of(body)
        for parses in (True, False):
            try:
                return self._template.render(
                    messages=[template_message(message, parses) for message in messages],
                    tools=tools,
                    add_generation_prompt=True,
                    bos_token="",
                    eos_token="",
                )
            except (jinja2.TemplateError, TypeError, ValueError, RecursionError):
                continue
        return None


def environment() -> jinja2.Environment:
    """As transformers make it."""
    made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    made.filters["tojson"] = tojson
    made.filters["from_json"] = json.loads
    made.globals["strftime_now"] = NOW.strftime
    made.globals["raise_exception"] = raise_exception
    return made


def tojson(value: object, indent: int | None = None, separators: tuple[str, str] | None = None, **_options: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)


def raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def chat_of(body: Body) -> tuple[list[dict], list[dict] | None]:
    """The messages and tools of a body of chat or Gemini, as chat has them."""
    if "messages" in body:
        return body["messages"], body.get("tools")
    messages: list[dict] = []
    if "systemInstruction" in body:
        messages.append({"role": "system", "content": body["systemInstruction"]["parts"][0]["text"]})
    for content in body["contents"]:
        part = content["parts"][0]
        if "text" in part:
            messages.append({"role": "user" if content["role"] == "user" else "assistant", "content": part["text"]})
        elif "functionCall" in part:
            call = part["functionCall"]
            function = {"name": call["name"], "arguments": call["args"]}
            messages.append({"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]})
        else:
            answer = part["functionResponse"]
            messages.append({"role": "tool", "tool_call_id": "c", "name": answer["name"], "content": answer["response"]["a"]})
    declared = [tool for group in body.get("tools", []) for tool in group["functionDeclarations"]]
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool["name"],
                "description": tool.get("description", ""),
                "parameters": tool["parametersJsonSchema"],
            },
        }
        for tool in declared
    ]
    return messages, tools or None


def template_message(message: dict, parses: bool) -> dict:
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        if parses and isinstance(function["arguments"], str):
            function = {**function, "arguments": json.loads(function["arguments"])}
        calls.append({**call, "function": function})
    return {"content": "", **message, "tool_calls": calls}


def open_renderer(name: str, packages: dict[str, str]) -> Counter:
    """`harmony`, `cookbook`, `mistral:FILE`, `plain:VOCABULARY:compact|spaced`, or `template:NAME:VOCABULARY`."""
    kind, *rest = name.split(":")
    if kind == "harmony":
        return Harmony(packages).counts
    if kind == "cookbook":
        return CookbookRule(packages).counts
    if kind == "mistral":
        return Mistral(packages, rest[0]).counts
    if kind == "plain":
        return Plain(packages, rest[0], rest[1] == "compact").counts
    if kind == "template":
        return Template(packages, rest[0], rest[1]).counts
    raise ValueError(f"there is no renderer {name}")
