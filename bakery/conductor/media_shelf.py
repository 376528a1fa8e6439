"""The media of a deploy: one ISO, and a server on each address by which BMCs reach this machine.

The servers have nothing but media: the nodes' own files and the API are on another port, and often
on another network.
"""

import contextlib
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from bakery.conductor.media import Arguments, MediaOffer, network_of, reader
from bakery.conductor.messages import Media, NodeSpec
from bakery.conductor.peer import Peer
from bakery.host.report import Report
from bakery.netboot import media_image, tls
from bakery.netboot.http import CONNECTIONS, HttpServer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Sink
from bakery.node.ramdisk.make import KERNEL, RAMDISK

MEDIA_PORT = 6386
READER_CONNECTIONS = 6
"""Of each BMC; some read by several at once."""


class MediaShelf:
    """Makes the medium of the deploy ramdisk in the folder `ramdisk`, and offers each node its own.

    The medium is kept in `folder`.
    """

    def __init__(self, media: Media, ramdisk: Path, folder: Path, report: Report) -> None:
        self._tls = None
        if media.certificate:
            key = Path(media.key) if media.key else None
            self._tls = tls.context(Path(media.certificate), key)
        else:
            report.note(
                "plain HTTP: anyone who reads the traffic to the BMCs learns these tries' secrets "
                "(--media-certificate)",
                "media",
            )
        self._medium = media_image.medium(folder, ramdisk / KERNEL, ramdisk / RAMDISK, report)
        self._trees: dict[IPv4Address, Tree] = {}
        self._readers: dict[IPv4Address, set[str]] = {}

    def offer(self, spec: NodeSpec, peer: Peer, arguments: Arguments) -> MediaOffer:
        """What `spec`'s virtual drive is offered; BakeryError where its BMC cannot read it."""
        asked = reader(spec.name, spec.bmc)
        tree = self._trees.setdefault(asked.own, Tree())
        self._readers.setdefault(asked.own, set()).update(asked.addresses)
        return MediaOffer(
            *(tree, self._server(asked.own, tree).url, spec.uuid, self._medium),
            *(asked, peer, network_of(spec), arguments),
        )

    @contextlib.contextmanager
    def serving(self, on_event: Sink) -> Iterator[None]:
        """The servers, for the length of the `with` block."""
        with contextlib.ExitStack() as stack:
            for own, tree in self._trees.items():
                stack.enter_context(self._server(own, tree, on_event))
            yield

    def _server(
        self, own: IPv4Address, tree: Tree, on_event: Sink = lambda _event: None
    ) -> HttpServer:
        readers = self._readers[own]
        places = READER_CONNECTIONS * len(readers)
        return HttpServer(
            *(str(own), tree, on_event),
            port=MEDIA_PORT,
            connections=CONNECTIONS + places,
            reserved=places,
            known=readers.__contains__,
            tls=self._tls,
        )
