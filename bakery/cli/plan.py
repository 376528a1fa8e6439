"""`bakery plan`."""

from pathlib import Path

import click

from bakery.cli.build import asked_of, build_options
from bakery.cli.options import Output, means_of, output, reads_images


@click.command("plan", short_help="Show what a build would do, and why.")
@build_options
@reads_images
@output
def command(
    out: Output,
    image: Path,
    directory: Path | None,
    *,
    luks_key_file: Path | None,
    **given: object,
) -> None:
    """Show what `bakery build` would do with IMAGE: each stage, whether it has to run, and why."""
    from bakery.build.plan import plan
    from bakery.image.left_behind import told

    asked = asked_of(image, directory, given)
    made = plan(asked.image, asked.options, asked.output, means_of(luks_key_file))
    layout = f"layout {made.layout}, " if made.layout else ""
    out.print(
        f"{asked.image} -> {made.output}: {layout}engine {made.engine} ({made.engine_reason})"
    )
    for step in made.steps:
        out.print(f"  {step.stage:<8} {step.state:<9} {step.why}")
    for item in made.left_behind:
        out.print(f"  {told(item)}")
    out.document(made)
