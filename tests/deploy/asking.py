"""A ramdisk's POST, with Python's own client."""

import http.client


def post(port: int, path: str, body: bytes, token: str) -> int:
    """The status of the answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request("POST", path, body, {"X-Auth-Token": token})
        return link.getresponse().status
    finally:
        link.close()
