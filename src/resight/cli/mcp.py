"""``resight mcp``: a collection as tools for assistants, over the Model Context Protocol."""

from __future__ import annotations

from resight.cli.options import CollectionArgument, DownloadOption

__all__ = ["EXAMPLE", "mcp"]

EXAMPLE = (
    "Example:\n\n  resight mcp photos.resight\n\n"
    "An assistant starts it by itself: name this line in its list of MCP servers. It answers on standard "
    "input and output with four tools: search, matches, groups, classify. It never changes the collection."
)


def mcp(collection: CollectionArgument, allow_download: DownloadOption = False) -> None:
    """Let an assistant search a collection: four tools of the Model Context Protocol."""
    from resight._lazy import require

    require("mcp", ("mcp", "fastapi"), "resight mcp")
    from resight.collection import Collection
    from resight.serving.mcp_tools import mcp_server
    from resight.serving.settings import Limits

    mcp_server(Collection.open(collection, allow_download=allow_download), Limits()).run("stdio")
