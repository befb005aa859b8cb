"""A README as a tree of what may be shown: CommonMark with its HTML taken for text, no picture, links of three schemes.

The dashboard makes elements of it one by one, and never parses HTML. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from swarm.browse_messages import ReadmeNode

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

NODES_MAX: Final = 20_000
SCHEMES: Final = ("https://", "http://", "mailto:")
# A page has its own first and second heading.
_TAGS: Final = {
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "hr": "hr",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
    "strong": "strong",
    "em": "em",
    "hardbreak": "br",
    "h1": "h3",
    "h2": "h4",
    "h3": "h5",
}
_LITERAL: Final = {"code_inline": "code", "fence": "pre", "code_block": "pre"}


def readme_tree(name: str, data: bytes) -> tuple[ReadmeNode, ...]:
    """The tree of a README, plain text where its name does not say Markdown."""
    text = data.decode("utf-8", "replace")
    if not name.lower().endswith((".md", ".markdown")):
        return (ReadmeNode("pre", text),)
    # A tenth of a second to import, for who looks at a README.
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    if len(tokens) + sum(len(token.children or ()) for token in tokens) > NODES_MAX:
        return (ReadmeNode("pre", text),)
    return tuple(_children(SyntaxTreeNode(tokens)))


def _children(node: SyntaxTreeNode) -> Iterator[ReadmeNode]:
    for child in node.children:
        if child.type == "inline":
            yield from _children(child)
        else:
            yield _node(child)


def _node(node: SyntaxTreeNode) -> ReadmeNode:
    kind = node.type
    if kind in _LITERAL:
        return ReadmeNode(_LITERAL[kind], node.content)
    if kind == "image":
        return ReadmeNode("em", children=(ReadmeNode("text", f"[picture: {node.content}]"),))
    if kind == "link":
        href = str(node.attrs.get("href", ""))
        known = href if href.lower().startswith(SCHEMES) else ""
        return ReadmeNode("a" if known else "span", href=known, children=tuple(_children(node)))
    if kind == "heading":
        return ReadmeNode(_TAGS.get(node.tag, "h6"), children=tuple(_children(node)))
    if kind in _TAGS:
        return ReadmeNode(_TAGS[kind], children=tuple(_children(node)))
    return ReadmeNode("text", "\n" if kind == "softbreak" else node.content)
