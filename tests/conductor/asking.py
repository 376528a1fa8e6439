"""A ramdisk's POST, with Python's own client."""

import http.client


def post(port: int, path: str, body: bytes, token: str, source: str = "127.0.0.1") -> int:
    """The status of the answer to a node whose address is `source`."""
    place = (source, 0)
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=place)
    try:
        link.request("POST", path, body, {"X-Auth-Token": token})
        return link.getresponse().status
    finally:
        link.close()
