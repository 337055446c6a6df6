"""Pages read back as a browser would read them."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "rect", "path", "circle"}


class Reader(HTMLParser):
    """Checks that every element is closed, and collects tags with their attributes, and the words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.words += data + " "

    def all(self, tag, kind=""):
        return [
            attributes
            for name, attributes in self.tags
            if name == tag and (not kind or kind in attributes.get("class", "").split())
        ]


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    reader.words = " ".join(reader.words.split())
    return reader
