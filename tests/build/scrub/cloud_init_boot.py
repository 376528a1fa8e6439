"""A boot as cloud-init sees it, by its own code: which instance it was, and what it runs.

    python cloud_init_boot.py FOLDER

FOLDER is its /var/lib/cloud, as the boot before left it. Prints as JSON `new`, whether this is
another instance than before, and `ran`, which of a module that runs once ever and one that runs
once for each instance were run now. The data source is the one that is always there (None), whose
instance is the same each time: what makes it new is what is in FOLDER.
"""

import json
import sys
from pathlib import Path

from cloudinit import helpers, stages

FREQUENCIES = ("once", "once-per-instance")


def main() -> None:
    """Do it."""
    folder = Path(sys.argv[1])
    run = folder.with_name(folder.name + "-run")
    run.mkdir(exist_ok=True)
    places = {"cloud_dir": str(folder), "run_dir": str(run)}
    # /run is not the image's: nothing in here may look at this machine's own.
    stages.Init.paths = property(lambda self: helpers.Paths(places, self.datasource))
    init = stages.Init([])
    system = {"paths": places, "distro": "debian"}
    init._cfg = {"system_info": system, "datasource_list": ["None"]}
    init.initialize()
    init.previous_iid()  # it is kept, for who asks when the new one has been noted
    init.fetch(existing="trust")
    new = init.is_new_instance()
    init.instancify()
    modules = helpers.Runners(init.paths)
    ran = [one for one in FREQUENCIES if modules.run(one, lambda: True, [], freq=one)[0]]
    init.update()
    print(json.dumps({"new": new, "ran": ran}))


if __name__ == "__main__":
    main()
