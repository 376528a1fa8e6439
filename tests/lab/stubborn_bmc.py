"""A BMC that says yes to everything and does nothing; prints its port once it listens."""

import uuid

from pyghmi.ipmi.bmc import Bmc
from pyghmi.ipmi.private.session import Session

from bakery.lab.virtual_bmc import begin


class Stubborn(Bmc):  # type: ignore[misc]
    def get_power_state(self):
        return "off"

    def power_on(self):
        return 0

    def sessionless_data(self, data, sockaddr):
        if data[4] == 6 and data[5] == 0x10:
            begin(self, bytes(data[16:]), sockaddr)
        else:
            super().sessionless_data(data, sockaddr)


def main():
    bmc = Stubborn({"admin": "secret"}, port=0, address="127.0.0.1", bmcuuid=uuid.uuid4())
    bmc.port = bmc.serversocket.getsockname()[1]
    print(bmc.port, flush=True)
    while True:
        Session.wait_for_rsp(30)


if __name__ == "__main__":
    main()
