"""Follow every link inside the built site: `python docs/check_links.py build/site`.

Pages, anchors, pictures, styles and scripts must be there. Styles and scripts must not lie outside: the site works
without a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The targets on a page, as (tag, address), and its anchors."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [(tag, found[name]) for name in ("href", "src") if found.get(name)]


def broken_links(site: Path) -> tuple[list[str], int]:
    """What is wrong, one line each, and how many links were followed."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    wrong, count = [], 0
    for path, page in pages.items():
        for tag, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag not in ("a", "img") and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site)}: <{tag}> needs the network: {address}")
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (target in pages and unquote(parts.fragment) not in pages[target].anchors):
                wrong.append(f"{path.relative_to(site)}: {address} leads nowhere")
    return wrong, count


if __name__ == "__main__":
    wrong, count = broken_links(Path(sys.argv[1]).resolve())
    print("\n".join([*wrong, f"{count} links inside the site, {len(wrong)} broken"]))
    sys.exit(bool(wrong))
