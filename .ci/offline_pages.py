"""
Check that built pages load nothing from the net: no script, style, font or picture.

``python .ci/offline_pages.py FOLDER`` names what they would load and fails, if there
is any. Links that a reader may follow are allowed.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

REMOTE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(
    r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE
)
FOLLOWED = {"canonical", "next", "prev", "index", "search", "author", "license"}


class Loads(HTMLParser):
    """What a page loads by itself from other hosts."""

    def __init__(self, text):
        super().__init__()
        self.found = IN_STYLE.findall(text)
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        addresses = [attrs.get("src", ""), attrs.get("poster", "")]
        addresses += [part.strip() for part in attrs.get("srcset", "").split(",")]
        if tag == "link" and not FOLLOWED & set(attrs.get("rel", "").split()):
            addresses.append(attrs.get("href", ""))
        if tag in ("object", "use", "image"):
            addresses += [attrs.get(name, "") for name in ("data", "href")]
        self.found += [address for address in addresses if REMOTE.match(address)]


def remote_loads(folder):
    """
    What the pages and styles of a folder load from other hosts.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    found : list of (str, str)
        Name of a file and an address in it.

    Raises
    ------
    ValueError
        If there is no page.
    """
    folder = Path(folder)
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        raise ValueError(f"there is no page in {folder}")
    found = []
    for path in pages:
        text = path.read_text(encoding="utf-8")
        found += [(str(path), address) for address in Loads(text).found]
    for path in sorted(folder.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [(str(path), address) for address in IN_STYLE.findall(text)]
    return found


if __name__ == "__main__":
    loads = remote_loads(sys.argv[1])
    for name, address in loads:
        print(f"{name}: loads {address}", file=sys.stderr)
    sys.exit(1 if loads else 0)
