"""Follow every link inside the built site, and read the text of every picture: `python docs/check_links.py build/site`.

Pages, anchors, pictures, styles and scripts must be there, and none but links may lead outside: the site works without
a network. A picture needs a text for those who cannot see it, and the name of its file is none.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The targets on a page, as (tag, address), its anchors, and its pictures, as (address, text)."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors = {"", "top"}
        self.pictures: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [(tag, found[name]) for name in ("href", "src") if found.get(name)]
        if tag == "img":
            self.pictures.append((found.get("src") or "", (found.get("alt") or "").strip()))


def broken_links(site: Path) -> tuple[list[str], int]:
    """What is wrong, one line each, and how many links were followed."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    wrong, count = [], 0
    for path, page in pages.items():
        wrong += [
            f"{path.relative_to(site)}: {picture} has {f'a file name as text: {text}' if text else 'no text'}"
            for picture, text in page.pictures
            if not text or re.fullmatch(r"\S+\.(png|svg|jpe?g|gif|webp)", text, re.I)
        ]
        for tag, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag != "a" and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site)}: <{tag}> needs the network: {address}")
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (target in pages and unquote(parts.fragment) not in pages[target].anchors):
                wrong.append(f"{path.relative_to(site)}: {address} leads nowhere")
    return wrong, count


if __name__ == "__main__":
    wrong, count = broken_links(Path(sys.argv[1]).resolve())
    print("\n".join([*wrong, f"{count} links inside the site; {len(wrong)} links or pictures are wrong"]))
    sys.exit(bool(wrong))
