"""The four tools, called by the SDK's own client over standard input and output."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters, stdio_client

from resight.collection import Collection


async def _called(collection: Path, calls: list[tuple[str, dict]]) -> tuple[list[str], list]:
    line = ["-m", "resight", "mcp", str(collection)]
    parameters = StdioServerParameters(command=sys.executable, args=line, env=dict(os.environ))
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        tools = await session.list_tools()
        answers = [await session.call_tool(name, arguments) for name, arguments in calls]
        return [tool.name for tool in tools.tools], answers


def test_an_assistant_searches_compares_and_classifies(made, tmp_path):
    shutil.copytree(made, tmp_path / "made")
    path = tmp_path / "made" / "photos.resight"
    collection = Collection.open(path)
    query = str(tmp_path / "made" / "photos" / "place_000_view_0.jpg")
    numbers = collection.numbers()
    other = numbers[query.replace("view_0", "view_1")]
    collection.groups("things")
    calls = [
        ("search", {"photo": query, "top": 3}),
        ("search", {"photo": str(numbers[query]), "top": 2, "box": [20, 20, 200, 200], "where": "view > 0"}),
        ("matches", {"query": query, "answer": str(other)}),
        ("groups", {"of": "things"}),
        ("classify", {"photo": query}),
        ("search", {"photo": "/no/such/photo.jpg"}),
        ("search", {"photo": "4711"}),
        ("search", {"photo": query, "box": [1, 2]}),
        ("search", {"photo": query, "top": 100_000}),
        ("matches", {"query": query, "answer": "/elsewhere.jpg"}),
    ]
    names, answers = asyncio.run(_called(path, calls))
    assert names == ["search", "matches", "groups", "classify"]
    found, boxed, matched, grouped, classified = (answer.structured_content for answer in answers[:5])
    ours = collection.search(query, top=3)
    assert [hit["path"] for hit in found["hits"]] == [hit.path for hit in ours]
    assert [hit["inliers"] for hit in found["hits"]] == [hit.inliers for hit in ours]
    boxed_hits = collection.search(query, top=2, box=(20, 20, 200, 200), where="view > 0")
    assert [hit["id"] for hit in boxed["hits"]] == [hit.id for hit in boxed_hits]
    assert boxed["queries"][0]["id"] == numbers[query]
    (hit,) = [hit for hit in ours if hit.id == other]
    assert (matched["inliers"], len(matched["points"])) == (hit.inliers, min(hit.inliers, 50))
    things = [{numbers[member.path] for member in group} for group in collection.groups("things")]
    assert grouped["computed"]
    assert [set(group["ids"]) for group in grouped["groups"]] == things
    assert classified["label"] == "place_000"
    words = [
        "there is no such file",
        "no photo 4711",
        "four numbers",
        "1000 at most",
        "not in the collection",
    ]
    for answer, sentence in zip(answers[5:], words, strict=True):
        assert answer.is_error
        assert sentence in answer.content[0].text
        assert "Traceback" not in answer.content[0].text
