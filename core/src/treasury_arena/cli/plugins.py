"""`arena plugins`: what is installed, what it offers, and why something was rejected."""

from __future__ import annotations

import click

from treasury_arena.cli.common import emit, json_option
from treasury_arena.registry.loader import load_registry


@click.command("plugins")
@json_option
def plugins(as_json: bool) -> int:
    """List plugins: what each offers, and why any was rejected.

    Exit code 1 when a plugin was rejected.

    \b
    Example:
      arena plugins
    """
    registry = load_registry()
    if as_json:
        emit({"plugins": [report.to_dict() for report in registry.plugins], "warnings": registry.warnings})
    else:
        for report in registry.plugins:
            offers = "; ".join(f"{hook}: {', '.join(names)}" for hook, names in report.offers.items())
            said = offers if report.status == "accepted" else report.reason
            click.echo(f"{report.name:14} {report.version or '-':8} {report.status:9} {said}")
    return 1 if registry.warnings else 0
