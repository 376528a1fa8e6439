"""`bakery plan`."""

from pathlib import Path

import click

from bakery.cli.build import asked_of, build_options
from bakery.cli.options import Output, output


@click.command("plan", short_help="What a build would do, and why.")
@build_options
@output
def command(out: Output, image: Path, directory: Path | None, **given: object) -> None:
    """Show what `bakery build` would do with IMAGE: each stage, whether it has to run, and why."""
    from bakery import plan

    asked = asked_of(image, directory, given)
    made = plan.plan(asked.image, asked.options, asked.output)
    layout = f"layout {made.layout}, " if made.layout else ""
    out.print(
        f"{asked.image} -> {made.output}: {layout}engine {made.engine} ({made.engine_reason})"
    )
    for step in made.steps:
        out.print(f"  {step.stage:<8} {step.state:<9} {step.why}")
    out.document(made)
