"""What the answers of commands that look say about a step."""

import ipaddress
from collections.abc import Sequence

from bakery.devstack.steps import Answer, Judge, Seen


def ended_well(answers: Sequence[Answer]) -> Seen:
    """Done where every command ended with 0."""
    return Seen("done" if all(one.returncode == 0 for one in answers) else "open")


def nodes_listed(count: int) -> Judge:
    """Done where Ironic lists so many nodes (`baremetal node list -f json`)."""

    def judge(answers: Sequence[Answer]) -> Seen:
        value = answers[0].value
        there = len(value) if isinstance(value, list) else 0
        return Seen("done" if there >= count else "open", f"{there} of {count} nodes")

    return judge


def image_active(key: str) -> Judge:
    """Done where the image is active and of the build with this key (`image show -f json`)."""

    def judge(answers: Sequence[Answer]) -> Seen:
        value = answers[0].value
        image = value if isinstance(value, dict) else {}
        properties = image.get("properties")
        told = image | (properties if isinstance(properties, dict) else {})
        is_it = told.get("status") == "active" and told.get("bakery_key") == key
        return Seen("done" if is_it else "open")

    return judge


def arguments_set(name: str, value: str) -> Judge:
    """Done where every node's instance_info has this (`node show --fields instance_info`)."""

    def judge(answers: Sequence[Answer]) -> Seen:
        for answer in answers:
            shown = answer.value
            info = shown.get("instance_info") if isinstance(shown, dict) else None
            if not isinstance(info, dict) or info.get(name) != value:
                return Seen("open")
        return Seen("done")

    return judge


def server_active(answers: Sequence[Answer]) -> Seen:
    """Done where Nova calls the server ACTIVE; its first IPv4 address is learned."""
    value = answers[0].value
    if not isinstance(value, dict):
        return Seen("open")
    status = value.get("status")
    if status == "ACTIVE":
        address = _first_address(value.get("addresses"))
        if not address:
            return Seen("failed", f"the server has no address: {value.get('addresses')}")
        return Seen("done", address, {"address": address})
    if status == "ERROR":
        fault = value.get("fault")
        words = fault.get("message") if isinstance(fault, dict) else fault
        return Seen("failed", f"Nova says: {words or 'ERROR'}")
    return Seen("busy", str(status))


def _first_address(addresses: object) -> str:
    """The first IPv4 address, of a mapping of lists (today's client) or `net=a, b; …` (older)."""
    if isinstance(addresses, dict):
        lists = [listed for listed in addresses.values() if isinstance(listed, list)]
        words = [str(one) for listed in lists for one in listed]
    else:
        words = str(addresses or "").replace("=", " ").replace(",", " ").replace(";", " ").split()
    for word in words:
        try:
            return str(ipaddress.IPv4Address(word))
        except ValueError:
            continue
    return ""
