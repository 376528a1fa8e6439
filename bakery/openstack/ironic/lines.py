"""At which line of a file of nodes something stands: looked up when there is a fault to tell."""

import functools
import re
from typing import Any

from bakery.openstack.ironic import document

# Of a JSON text what YAML does not take: halves of characters and what does not print (YAML 1.1,
# 5.1). Each stands inside one line, and so does what is read in its place.
NOT_YAML = re.compile(
    r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
    "|[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
INDEX = re.compile(r"\[([0-9]{1,9})\]")


class Lines:
    """The lines of `text`, which `document` has read: YAML, of which JSON is nearly a part."""

    def __init__(self, text: str) -> None:
        self._text = text

    def of(self, *place: str) -> int:
        """The line, from 1 on, of a place such as `nodes[3] (r4)`, `ports[0].address`.

        Where that is not in the file (a missing key, or a word of another format), the line of
        what it belongs to; 0 where no line can be told.
        """
        node = self._root
        if node is None:
            return 0
        line = node.start_mark.line + 1
        for part in place:
            rest = part.partition(" (")[0] if part == place[0] else part
            while rest:
                found = _below(node, rest)
                if found is None:
                    break
                mark, node, rest = found
                line = mark.line + 1
        return int(line)

    @functools.cached_property
    def _root(self) -> Any:  # noqa: ANN401 - PyYAML has no types
        import yaml

        try:
            return yaml.compose(NOT_YAML.sub("?", self._text), Loader=document.safe_loader())
        except (yaml.YAMLError, ValueError, RecursionError):
            return None


def _below(node: Any, path: str) -> tuple[Any, Any, str] | None:  # noqa: ANN401
    """Where the first step of a path leads: its mark, what is there, and the rest of the path.

    A key may have dots in it: the longest that fits is meant.
    """
    if node.id == "sequence":
        # TripleO's file may be the list alone.
        match = INDEX.match(path.removeprefix("nodes"))
        if match is None or int(match[1]) >= len(node.value):
            return None
        item = node.value[int(match[1])]
        return item.start_mark, item, path.removeprefix("nodes")[match.end() :].removeprefix(".")
    if node.id != "mapping":
        return None
    pairs = [(key, value) for key, value in node.value if _begins(path, key.value)]
    if not pairs:
        return None
    key, value = max(pairs, key=lambda pair: len(pair[0].value))
    return key.start_mark, value, path[len(key.value) :].removeprefix(".")


def _begins(path: str, key: object) -> bool:
    if not isinstance(key, str) or not path.startswith(key):
        return False
    return path[len(key) : len(key) + 1] in ("", ".", "[")
