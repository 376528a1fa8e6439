"""`bakery sign`: a build that any server may hand out, and nobody alter."""

import json
from pathlib import Path

import click

from bakery.cli.options import BUILD, FILE, Output, output


@click.command("sign", short_help="Sign a build for nodes that pull it.")
@BUILD
@click.option(
    "--key",
    type=FILE,
    required=True,
    metavar="FILE",
    help="Private key (mode 0600), Ed25519, PEM: openssl genpkey -algorithm ed25519 -out FILE.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=90,
    help="How long nodes take the list; they refuse it later.",
)
@click.option("--node", metavar="UUID", help="The only node that may write it.")
@output
def command(out: Output, directory: Path, key: Path, days: int, node: str | None) -> None:
    """Write NAME.plan, a signed write list, beside the packed base of the build in DIR.

    The build has layout disk. Serve NAME.plan and NAME-base.zst from one folder of any HTTP server
    to bakery's deploy step for ironic-python-agent; the step is printed, with the public key and
    the list's serial. A node that knows both writes nothing else, and nothing older.
    """
    from bakery.conductor import write_list
    from bakery.host import secret_file
    from bakery.host.folders import write_whole
    from bakery.manifest import manifest

    build = manifest.load(directory)
    private = write_list.read_key(key)
    secret_file.check(key)
    path = build.directory / f"{build.manifest.name}.plan"
    terms = write_list.terms(build, node or "", days=days)
    content = write_list.of_whole_disk(build, terms, private)
    write_whole(path, content)
    public = private.public_key().public_bytes_raw().hex()
    arguments = {
        "plan_url": f"http://SERVER/{path.name}",
        "plan_key": public,
        "plan_serial": terms.serial,
    }
    step = {
        "interface": "deploy",
        "step": "write_packed_image",
        "priority": 80,
        "args": arguments,
    }
    out.print(str(path), f"public key {public}", f"deploy step {json.dumps(step)}")
    out.document({"plan": str(path), "public_key": public, "deploy_step": step})
