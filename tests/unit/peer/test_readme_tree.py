"""A README becomes a tree that cannot do anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm.browse_messages import ReadmeNode
from swarm.peer.readme_tree import NODES_MAX, SCHEMES, readme_tree


def every(nodes: tuple[ReadmeNode, ...]) -> list[ReadmeNode]:
    return [one for node in nodes for one in (node, *every(node.children))]


def test_markdown_becomes_elements() -> None:
    nodes = readme_tree(
        "README.md", b"# Roads\n\nAll *of* `them`:\n\n- one\n- [two](https://example.org/x)\n\n|a|\n|-|\n|b|\n"
    )
    tags = [node.tag for node in every(nodes)]
    assert [node.tag for node in nodes] == ["h3", "p", "ul", "table"]
    assert {"em", "code", "li", "a", "th", "td"} <= set(tags)
    assert [node.href for node in every(nodes) if node.tag == "a"] == ["https://example.org/x"]


def test_html_is_text_and_other_schemes_are_no_links() -> None:
    links = b"[x](javascript:alert(1)) [y](data:text/html,z) ![p](http://x/y.png) [r](../z)"
    text = b"<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> " + links
    found = every(readme_tree("readme.MD", text))
    assert not any(node.tag in ("script", "img", "a") for node in found)
    assert "<script>alert(1)</script>" in "".join(node.text for node in found)
    assert "[picture: p]" in [node.text for node in found]


def test_what_is_no_markdown_is_plain() -> None:
    assert readme_tree("README.txt", b"*x* \xff") == (ReadmeNode("pre", "*x* \N{REPLACEMENT CHARACTER}"),)
    assert [node.tag for node in readme_tree("README.md", b"*a* " * NODES_MAX)] == ["pre"]


@given(st.text(max_size=300))
def test_any_text_is_shown_and_links_only_where_it_may(text: str) -> None:
    for node in every(readme_tree("README.md", text.encode())):
        assert not node.href or node.href.lower().startswith(SCHEMES)
