"""An MCP server over a workspace: its actions as tools, its rows and reports as resources.

`multicsr mcp` speaks on standard input and output, the server of a workspace under /mcp; both run the same actions as
pages and commands do, and check the same arguments. Nothing that exists is removed or replaced: such actions are for
people, and everything else can be undone, repeated or left alone.
"""

import asyncio
import inspect
import json
import logging
import mimetypes
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mcp import types as protocol
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from starlette.types import Receive, Scope, Send

from pipeline.durable import os_error_sentence
from pipeline.records import InputError, StorageError
from workbench import __version__
from workbench.actions import ACTIONS
from workbench.actions.call import READING, argument_schema
from workbench.actions.evaluation import own_pairs_folder
from workbench.jobs.folder import ENDED
from workbench.paths import SKILL
from workbench.workspace import RemoteFailure

Answer = dict[str, Any]
Call = Callable[..., Answer]
"""call(action_name, **arguments) -> the action's answer; errors are raised."""

FOR_PEOPLE = {
    "delete_weights": "it deletes weights for good",
    "remove_llm": "it forgets how an LLM was set up",
    "save_guidelines": "it replaces what annotators agreed on",
}
"""Actions that no tool offers: each removes or replaces something, and no action brings it back.

`delete_vectors` is offered: it empties a cache, of which every vector is computed again where it is next needed, to
the same numbers, and it refuses while a job runs. It costs time and loses nothing.
"""
MOST_ROWS = 1000
"""Rows that one resource holds; tools page further."""
TEMPLATES = {
    "triplets": (
        "attempts/{attempt_id}/triplets",
        f"The first {MOST_ROWS:,} triplets of a generation run or import, a JSON object per line.",
    ),
    "triplet": ("triplets/{triplet_id}", "A triplet with its scores and every decision on it."),
    "job": ("jobs/{job_id}", "A job, and the addresses of the files that it left."),
    "result": (
        "jobs/{job_id}/{+file}",
        f"A file that a job left; of a table the first {MOST_ROWS:,} rows, a JSON object per line.",
    ),
    "report": ("studies/{study}/{+file}", "A report of a study, such as report.md or report.json."),
}
"""Resources that are read by name: address and what it is."""
_POLL_S = 0.5
_INSTRUCTIONS = (
    "Write sentence triplets with an LLM, judge and curate them, train a sentence encoder on them and measure it. A "
    "tool whose name begins with start_ queues a job: pass its job_id to wait_for_job, then read the rows. "
    "Decisions on triplets carry your name as annotator, and undo takes back your last step. "
    "The resource multicsr://skill teaches the whole loop: read it first."
)
_SCHEME = "multicsr://"
_READABLE = frozenset(".csv .html .json .jsonl .md .parquet .tex .txt .yaml".split())
"""Endings of the results that are text, or tables that can be shown as text."""
_WAIT = protocol.Tool(
    name="wait_for_job",
    description="Wait until a job has stopped and its rows are stored, at most `timeout_s` seconds, and return it as "
    "the tool `job` does.",
    input_schema={
        "type": "object",
        "properties": {
            "job_id": {"type": "string"},
            "timeout_s": {"type": "number", "minimum": 0, "maximum": 3600, "default": 60},
        },
        "required": ["job_id"],
        "additionalProperties": False,
    },
    annotations=protocol.ToolAnnotations(read_only_hint=True, open_world_hint=False),
)


def tools() -> list[protocol.Tool]:
    """Return a tool for every action that an agent may call, and one that waits for a job."""
    return [*(_tool(name) for name in sorted(ACTIONS) if name not in FOR_PEOPLE), _WAIT]


def _tool(name: str) -> protocol.Tool:
    called = ACTIONS[name]
    return protocol.Tool(
        name=name,
        description=inspect.getdoc(called),
        input_schema=argument_schema(called),
        annotations=protocol.ToolAnnotations(
            read_only_hint=name in READING, destructive_hint=False, open_world_hint=False
        ),
    )


@dataclass(frozen=True, slots=True)
class Agents:
    """The handlers of one MCP server: tools and resources of the workspace behind `call`."""

    call: Call
    root: Path
    """Folder of the workspace, whose results are read as files."""

    def server(self) -> Server[Any]:
        """Return the MCP server with these handlers."""
        return Server(
            "multicsr",
            version=__version__,
            title="MultiCSR workbench",
            instructions=_INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read,
        )

    async def list_tools(self, _context: Any, _parameters: Any) -> protocol.ListToolsResult:
        """Answer with all tools."""
        return protocol.ListToolsResult(tools=tools())

    async def call_tool(self, context: Any, asked: protocol.CallToolRequestParams) -> protocol.CallToolResult:
        """Run an action; what is wrong comes back as one sentence, marked as an error."""
        arguments = asked.arguments or {}
        try:
            if asked.name == _WAIT.name:
                answer = await self._wait(context, **_wait_arguments(arguments))
            else:
                answer = await self._run(asked.name, arguments)
        except _Refusal as refusal:
            return protocol.CallToolResult(content=[_text(str(refusal))], is_error=True)
        text = json.dumps(answer, ensure_ascii=False)
        return protocol.CallToolResult(
            content=[_text(text)], structured_content=json.loads(text, parse_constant=_none)
        )

    async def _run(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        return await asyncio.to_thread(self._run_here, name, arguments)

    def _run_here(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        if name in FOR_PEOPLE:
            raise _Refusal(f"{name} is for people, because {FOR_PEOPLE[name]}: ask somebody to do it.")
        if name not in ACTIONS:
            raise _Refusal(f"There is no tool {name}; there are {', '.join(tool.name for tool in tools())}.")
        try:
            self._refuse_to_replace(name, arguments)
            return self.call(name, **arguments)
        except (InputError, StorageError, RemoteFailure) as error:
            raise _Refusal(str(error)) from error
        except OSError as error:
            raise _Refusal(os_error_sentence(error)) from error
        except Exception as error:
            logging.getLogger(__name__).exception("The action %s failed.", name)
            raise _Refusal(f"The action {name} failed ({type(error).__name__}); the log has the details.") from error

    def _refuse_to_replace(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Raise InputError where an action would take the place of a file, a task or a rule that is there."""
        path, called = (str(arguments.get(key) or "") for key in ("path", "name"))
        taken = {
            "backup": Path(path).expanduser(),
            "export_triplets": Path(path).expanduser(),
            "import_pairs": own_pairs_folder(self.root) / f"{called or Path(path).stem}.tsv",
        }
        if name in taken and path and "\0" not in f"{path}{called}" and taken[name].exists():
            raise InputError(f"{taken[name]} exists already, and tools replace nothing: choose another name.")
        if name == "save_rule" and called.strip() in self.call("curation_notes")["saved"]:
            raise InputError(f"There is a rule {called} already, and tools replace nothing: choose another name.")

    async def _wait(self, context: Any, job_id: str, timeout_s: float) -> Answer:
        until = time.monotonic() + timeout_s
        while True:
            view = await self._run("job", {"job_id": job_id})
            is_over = view["settled"] and view["state"] in {*ENDED, "paused", "interrupted"}
            if is_over or time.monotonic() >= until:
                return view
            await context.session.report_progress(view["done"], view["total"] or None, view["message"] or None)
            await asyncio.sleep(_POLL_S)

    async def list_resources(self, _context: Any, _parameters: Any) -> protocol.ListResourcesResult:
        """Answer with what needs no name: the skill, and every reading action without arguments."""
        plain = [name for name in sorted(READING) if not _tool(name).input_schema["required"]]
        listed = [
            protocol.Resource(
                uri=f"{_SCHEME}{name}",
                name=name,
                description=inspect.getdoc(ACTIONS[name]),
                mime_type="application/json",
            )
            for name in plain
        ]
        about = "How to go from premises to an encoder whose gain is known with its interval."
        skill = protocol.Resource(uri=f"{_SCHEME}skill", name="skill", description=about, mime_type="text/markdown")
        return protocol.ListResourcesResult(resources=[skill, *listed])

    async def list_templates(self, _context: Any, _parameters: Any) -> protocol.ListResourceTemplatesResult:
        """Answer with the rows and reports that are read by name."""
        templates = [
            protocol.ResourceTemplate(uri_template=f"{_SCHEME}{template}", name=name, description=about)
            for name, (template, about) in TEMPLATES.items()
        ]
        return protocol.ListResourceTemplatesResult(resource_templates=templates)

    async def read(self, _context: Any, asked: protocol.ReadResourceRequestParams) -> protocol.ReadResourceResult:
        """Answer with the text of a resource."""
        uri = str(asked.uri)
        text, kind = await self._read(uri)
        contents = protocol.TextResourceContents(uri=uri, mime_type=kind, text=text)
        return protocol.ReadResourceResult(contents=[contents])

    async def _read(self, uri: str) -> tuple[str, str]:
        name = uri.removeprefix(_SCHEME)
        try:
            if name == "skill":
                return SKILL.read_text(encoding="utf-8"), "text/markdown"
            if name in READING:
                return _json(await self._run(name, {}))
            readers: list[Callable[..., Any]] = [self._triplets, self._triplet, self._job, self._result, self._report]
            for (template, _), reader in zip(TEMPLATES.values(), readers, strict=True):
                if (named := UriTemplate.parse(f"{_SCHEME}{template}").match(uri)) is not None:
                    return await reader(**named)
            raise _Refusal(f"There is no resource {uri}; list the resources and their templates.")
        except _Refusal as refusal:
            raise MCPError(protocol.INVALID_PARAMS, str(refusal)) from refusal

    async def _triplets(self, attempt_id: str) -> tuple[str, str]:
        chosen = {"attempt_ids": [attempt_id]}
        answer = await self._run("list_triplets", {"filter": chosen, "limit": MOST_ROWS})
        return _lines(answer["triplets"])

    async def _triplet(self, triplet_id: str) -> tuple[str, str]:
        return _json(await self._run("decision_history", {"triplet_id": triplet_id}))

    async def _job(self, job_id: str) -> tuple[str, str]:
        view = await self._run("job", {"job_id": job_id})
        out = self.root / "jobs" / job_id / "out"
        files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.suffix in _READABLE]
        uris = [f"{_SCHEME}jobs/{job_id}/{path.relative_to(out).as_posix()}" for path in files]
        return _json(view | {"files": uris})

    async def _result(self, job_id: str, file: str) -> tuple[str, str]:
        await self._run("job", {"job_id": job_id})  # refuses what is no job
        return await asyncio.to_thread(_file, self.root / "jobs" / job_id / "out", file)

    async def _report(self, study: str, file: str) -> tuple[str, str]:
        return await asyncio.to_thread(_file, self.root / "studies", f"{study}/{file}")


class _Refusal(Exception):
    """Seen by the agent: one sentence on what is wrong."""


def _wait_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    timeout_s = given.get("timeout_s", 60)
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if set(given) - {"job_id", "timeout_s"} or not isinstance(given.get("job_id"), str) or not is_number:
        raise _Refusal("wait_for_job takes job_id, a text, and timeout_s, a number of seconds.")
    return {"job_id": given["job_id"], "timeout_s": min(max(float(timeout_s), 0.0), 3600.0)}


def _file(folder: Path, name: str) -> tuple[str, str]:
    """Return text and media type of a file of results. Raises _Refusal for one outside, or without text."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file() or path.suffix not in _READABLE:
        raise _Refusal(f"There is no result {name} here; the resource of its job lists what there is.")
    if path.suffix != ".parquet":
        return path.read_text(encoding="utf-8"), mimetypes.guess_type(path.name)[0] or "text/plain"
    return _lines(json.loads(pd.read_parquet(path).head(MOST_ROWS).to_json(orient="records", double_precision=15)))


def _lines(rows: list[Answer]) -> tuple[str, str]:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "application/jsonl"


def _json(answer: Answer) -> tuple[str, str]:
    return json.dumps(answer, ensure_ascii=False), "application/json"


def _text(text: str) -> protocol.TextContent:
    return protocol.TextContent(text=text)


def _none(_word: str) -> None:
    """Read NaN and infinity, which JSON lacks, as null."""
    return None


async def _over_stdio(server: Server[Any]) -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def serve_stdio(call: Call, root: Path) -> None:
    """Serve an agent on standard input and output until it closes them."""
    asyncio.run(_over_stdio(Agents(call, root).server()))


async def answer_http(call: Call, root: Path, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one HTTP request of an agent; nothing is kept between requests."""
    manager = StreamableHTTPSessionManager(Agents(call, root).server(), stateless=True)
    async with manager.run():
        await manager.handle_request(scope, receive, send)
