"""A BMC that answers as it is told: `faulty_bmc.py '{"2": [192, 192], "8.3": [128]}'`.

Keys are a chassis command, or one and its first byte of data; values are completion codes to
answer with, one after the other, before it does as it should; the last code is for good where a
key ends in "!". Prints its port once it listens, and then every Set System Boot Options it got.
"""

import json
import sys
import uuid

from pyghmi.ipmi.bmc import Bmc
from pyghmi.ipmi.private.session import Session

from bakery.lab.virtual_bmc import begin

CHASSIS, CONTROL, BOOT_OPTIONS = 0, 2, 8


class Faulty(Bmc):  # type: ignore[misc]
    faults: dict[str, list[int]]
    state = "off"

    def get_power_state(self):
        return self.state

    def sessionless_data(self, data, sockaddr):
        if data[4] == 6 and data[5] == 0x10:
            begin(self, bytes(data[16:]), sockaddr)
        else:
            super().sessionless_data(data, sockaddr)

    def handle_raw_request(self, request, session):
        command, data = request["command"], bytes(request["data"])
        if request["netfn"] != CHASSIS:
            super().handle_raw_request(request, session)
            return
        if command == BOOT_OPTIONS:
            print(data.hex(), flush=True)
        code = self._fault(str(command)) or (data and self._fault(f"{command}.{data[0]}"))
        if code:
            session.send_ipmi_response(code=code)
        elif command == CONTROL:
            self.state = "on" if data[0] == 1 else "off"
            session.send_ipmi_response(code=0)
        elif command == BOOT_OPTIONS:
            session.send_ipmi_response(code=0)
        else:
            super().handle_raw_request(request, session)

    def _fault(self, key):
        if key + "!" in self.faults:
            return self.faults[key + "!"][0]
        return self.faults[key].pop(0) if self.faults.get(key) else 0


def main():
    bmc = Faulty({"admin": "secret"}, port=0, address="127.0.0.1", bmcuuid=uuid.uuid4())
    bmc.faults = json.loads(sys.argv[1])
    bmc.port = bmc.serversocket.getsockname()[1]
    print(bmc.port, flush=True)
    while True:
        Session.wait_for_rsp(30)


if __name__ == "__main__":
    main()
