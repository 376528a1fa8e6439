"""`bakery sign`: a build that any server may hand out, and nobody alter."""

import json
from pathlib import Path

import click

from bakery.cli.options import Output, output


@click.command("sign", short_help="Sign a build for nodes that pull it.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Private key, Ed25519, PEM: openssl genpkey -algorithm ed25519 -out FILE.",
)
@output
def command(out: Output, directory: Path, key: Path) -> None:
    """Write NAME.plan beside the packed base of the build in DIR, which has layout disk.

    The plan and NAME-base.zst, in one folder of any HTTP server, are what bakery's deploy step for
    ironic-python-agent takes: printed is the step, with the public key. A node that knows the key
    writes nothing else.
    """
    from bakery import manifest
    from bakery.deploy import plan
    from bakery.workdir import write_whole

    build = manifest.load(directory)
    private = plan.read_key(key)
    path = build.directory / f"{build.manifest.name}.plan"
    content = plan.of_whole_disk(build, private)
    draft = build.directory / ".bakery-sign"
    draft.mkdir(exist_ok=True)
    write_whole(path, content, draft)
    draft.rmdir()
    public = private.public_key().public_bytes_raw().hex()
    arguments = {"plan_url": f"http://SERVER/{path.name}", "plan_key": public}
    step = {
        "interface": "deploy",
        "step": "write_packed_image",
        "priority": 80,
        "args": arguments,
    }
    out.print(f"{path}\npublic key {public}\ndeploy step {json.dumps(step)}")
    out.document({"plan": str(path), "public_key": public, "deploy_step": step})
