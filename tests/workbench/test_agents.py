"""The MCP server driven by the official client: tools against actions, resources, permissions, the whole loop."""

import inspect
import json
import os
from pathlib import Path

import anyio
import httpx2
import jsonschema
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from pipeline.config import GenerationConfig
from pipeline.records import InputError
from pipeline.settings import from_fields
from tests import warm
from tests.test_actions import RIGHT, WRONG, arguments_of
from workbench.actions import ACTIONS, call_action
from workbench.agents import FOR_PEOPLE, READING, Agents, tools
from workbench.paths import SAMPLE_PREMISES
from workbench.workspace import RemoteWorkspace

TOOLS = {tool.name: tool for tool in tools()}
PAIRS = 12


def driven(workspace, script):
    """Run `script(client)` with an official client connected to the server within this process."""

    async def run():
        def call(name, /, **arguments):
            return call_action(workspace, name, ACTIONS[name], arguments)

        async with Client(Agents(call, workspace.root).server()) as client:
            return await script(client)

    return anyio.run(run)


async def done(client: Client, name: str, /, **arguments):
    """Call a tool and return its answer; one that refuses fails the test."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content[0].text
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


async def refused(client: Client, name: str, /, **arguments) -> str:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return result.content[0].text


async def finished(client: Client, name: str, /, **arguments):
    """Start a job and wait for it as an agent does."""
    started = await done(client, name, **arguments)
    view = await done(client, "wait_for_job", job_id=started["job_id"], timeout_s=300)
    assert (view["state"], view["settled"]) == ("finished", True), view
    return started


def test_every_action_is_a_tool_or_said_to_be_for_people():
    assert TOOLS.keys() == (ACTIONS.keys() - FOR_PEOPLE.keys()) | {"wait_for_job"}
    assert FOR_PEOPLE.keys() <= ACTIONS.keys() and READING <= ACTIONS.keys()
    for name, tool in TOOLS.items():
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.description and tool.annotations.destructive_hint in (False, None), name
        assert tool.annotations.read_only_hint == (name in READING or name == "wait_for_job")


@pytest.mark.parametrize("name", sorted(ACTIONS.keys() - FOR_PEOPLE.keys()))
def test_the_schema_of_a_tool_says_what_its_action_accepts(name):
    """The same values as in the test of the actions themselves, read by an independent validator."""
    schema = TOOLS[name].input_schema
    check, kinds = jsonschema.Draft202012Validator(schema), arguments_of(ACTIONS[name])
    right = {argument: RIGHT[kind] for argument, (kind, _) in kinds.items()}
    assert list(check.iter_errors(right)) == []
    parameters = list(inspect.signature(ACTIONS[name]).parameters.values())[1:]
    assert schema["required"] == [one.name for one in parameters if one.default is one.empty]
    assert not check.is_valid(right | {"unknown": 1})
    for argument, (kind, optional) in kinds.items():
        for value in WRONG[kind]:
            is_only_text = isinstance(value, float) or (isinstance(value, int) and abs(value) > 2**63)
            if not (is_only_text or (value is None and optional)):  # NaN and endless numbers are no JSON
                assert not check.is_valid(right | {argument: value}), (argument, value)


@pytest.mark.parametrize(
    "config",
    [{"omega": 1.0}, {"omega": "0.5"}, {"omegas": 0.5}, {"choice": "best"}, {"candidates": 1.5}, {"omega": 0.9}],
)
def test_settings_have_the_bounds_and_choices_of_their_config(config):
    check = jsonschema.Draft202012Validator(TOOLS["start_generate"].input_schema["properties"]["config"])
    try:
        from_fields(GenerationConfig, config)
        usable = True
    except InputError:
        usable = False
    assert check.is_valid(config) == usable


def test_refusals_are_one_sentence_and_nothing_is_replaced(workspace, tmp_path):
    target = tmp_path / "there.csv"
    target.write_text("mine")

    async def script(client):
        assert "for people" in await refused(client, "delete_weights", run_id="x")
        assert "There is no tool nothing" in await refused(client, "nothing")
        assert "There is no job x" in await refused(client, "wait_for_job", job_id="x")
        assert "wait_for_job takes job_id" in await refused(client, "wait_for_job", job_id=3)
        assert "must be a whole number" in await refused(client, "move", job_id="x", places="1")
        assert "replace nothing" in await refused(client, "export_triplets", path=str(target), snapshot_id="x")
        assert "replace nothing" in await refused(client, "backup", path=str(target))
        await done(client, "save_rule", name="mine", rule={"alpha": 4.0})
        assert "replace nothing" in await refused(client, "save_rule", name=" mine ", rule={"alpha": 1.0})
        notes = await done(client, "curation_notes")
        assert notes["rules"]["mine"]["alpha"] == 4.0
        pairs = tmp_path / "own.tsv"
        pairs.write_text("a\tb\ts\nA cat sleeps.\tA cat naps.\t4\nA cat sleeps.\tRain falls.\t0\n")
        wanted = {"path": str(pairs), "first": "a", "second": "b", "score": "s"}
        await done(client, "import_pairs", **wanted)
        assert "replace nothing" in await refused(client, "import_pairs", **wanted)

    driven(workspace, script)
    assert target.read_text() == "mine"


def test_rows_and_results_are_resources_and_nothing_outside_them_is(workspace, tmp_path):
    (workspace.root / "studies" / "mine").mkdir(parents=True)
    (workspace.root / "studies" / "mine" / "report.md").write_text("# Mine\n", encoding="utf-8")
    triplets = tmp_path / "three.jsonl"
    triplets.write_text(
        '{"sent0": "A cat naps.", "sent1": "A cat is asleep.", "hard_neg": "Nobody says \\"é😀\\"."}\n'
    )

    async def text(client, uri):
        [content] = (await client.read_resource(f"multicsr://{uri}")).contents
        return content.text

    async def script(client):
        run = (await done(client, "import_triplets", path=str(triplets)))["attempt_id"]
        listed = {resource.name for resource in (await client.list_resources()).resources}
        assert {"overview", "scores", "attempts", "curation_notes"} <= listed and "queue" not in listed
        assert (await text(client, "skill")).startswith("---\nname: multicsr\n")
        for name in listed - {"skill"}:
            assert isinstance(json.loads(await text(client, name)), dict)
        [row] = [json.loads(line) for line in (await text(client, f"attempts/{run}/triplets")).splitlines()]
        assert row["hard_negative"] == 'Nobody says "é😀".'
        known = json.loads(await text(client, f"triplets/{row['triplet_id']}"))
        assert known["triplet"]["premise"] == "A cat naps."
        assert await text(client, "studies/mine/report.md") == "# Mine\n"
        templates = (await client.list_resource_templates()).resource_templates
        assert {item.name for item in templates} == {"triplets", "triplet", "job", "result", "report"}
        for uri in (
            "nothing",
            "jobs/none",
            "jobs/none/report.md",
            "studies/mine/missing.md",
            "studies/mine/../../curation.json",
            "studies/%2e%2e/curation.json",
            "studies/..%2F..%2Fthree.jsonl/x",
            "studies/mine/%2Fetc%2Fpasswd.txt",
        ):
            with pytest.raises(MCPError):
                await text(client, uri)

    driven(workspace, script)


def test_an_agent_goes_the_whole_loop_on_standard_input_and_output(tmp_path: Path):
    """As a program starts it, with the embedded models: from premises to a scored encoder, one step undone."""
    root = tmp_path / "ws"
    premises = "\n".join(SAMPLE_PREMISES.read_text(encoding="utf-8").splitlines()[:6])
    pairs = tmp_path / "pairs.tsv"
    texts = SAMPLE_PREMISES.read_text(encoding="utf-8").splitlines()[10 : 10 + 2 * PAIRS]
    rows = [
        f"{text}\t{texts[PAIRS + place // 2]}\t{5 * (place == place // 2) + place % 3}"
        for place, text in enumerate(texts[:PAIRS])
    ]
    pairs.write_text("\n".join(["first\tsecond\tgold", *rows]) + "\n", encoding="utf-8")
    command = [*warm.program(), "-m", "workbench", "mcp", "--workspace", str(root)]
    program = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))

    async def loop():
        async with Client(program) as client:
            assert "start_" in client.instructions
            corpus = await done(client, "import_premises", text=premises, name="mine")
            assert corpus["premises"] == 6
            config = {"omega": 0.6, "max_new_tokens": 16}
            run = await finished(client, "start_generate", corpus_id="mine", config=config)
            await finished(client, "start_judge", attempt_ids=[run["attempt_id"]])
            page = await done(client, "list_triplets", filter={"attempt_ids": [run["attempt_id"]], "outcome": "ok"})
            first = page["triplets"][0]["triplet_id"]
            await done(client, "decide", triplet_ids=[first], action="reject", annotator="agent")
            await done(client, "undo", annotator="agent")
            frozen = await done(client, "curate", attempt_ids=[run["attempt_id"]], name="first")
            assert frozen["triplets"] == page["total"]
            trained = await finished(client, "start_train", snapshot_id="first", config={"steps": 2, "batch_size": 4})
            task = await done(client, "import_pairs", path=str(pairs), first="first", second="second", score="gold")
            await finished(client, "start_evaluate", encoder=trained["run_id"], sts_dir=task["folder"])
            [score] = (await done(client, "scores"))["scores"]
            measured = (await done(client, "score_intervals", encoder=trained["run_id"]))["tasks"]["pairs"]
            assert measured["value"] == score["spearman"] and measured["low"] < measured["value"] < measured["high"]
            assert score["task"] == "pairs" and score["pairs"] == PAIRS and -1 <= score["spearman"] <= 1
            [job] = (await client.read_resource(f"multicsr://jobs/{score['job_id']}")).contents
            [table] = [uri for uri in json.loads(job.text)["files"] if uri.endswith("pairs-pairs.parquet")]
            [predicted] = (await client.read_resource(table)).contents
            assert len(predicted.text.splitlines()) == PAIRS

    anyio.run(loop)


def over_http(root: Path, token: str, script):
    remote = RemoteWorkspace.find(root)
    assert remote is not None

    async def run():
        async with httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=120
        ) as http:
            async with Client(streamable_http_client(f"{remote.address}/mcp", http_client=http)) as client:
                return await script(client)

    return anyio.run(run)


def test_the_server_of_a_workspace_answers_agents_that_have_its_token(served):
    root, _, _ = served

    async def script(client):
        corpus = await done(client, "import_premises", text="A cat naps.\nRain falls.", name="mine")
        assert "and below 1, got 2.0" in await refused(
            client, "start_generate", corpus_id=corpus["corpus_id"], config={"omega": 2.0}
        )
        return (await done(client, "overview"))["premises"]

    token = (root / "owner.token").read_text()
    assert over_http(root, token, script) == 2
    for wrong in ("wrong", token[:-1], f"{token}x"):
        with pytest.raises(BaseExceptionGroup):
            over_http(root, wrong, script)
        address, bearer = RemoteWorkspace.find(root).address, {"Authorization": f"Bearer {wrong}"}
        assert httpx2.post(f"{address}/mcp", headers=bearer, json={}, trust_env=False).status_code == 401
    assert RemoteWorkspace.find(root).call("overview")["premises"] == 2
