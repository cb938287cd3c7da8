"""`arena plugins`: what is installed, what it offers, and why something was rejected."""

from __future__ import annotations

import click

from treasury_arena.cli.common import emit, json_option, say
from treasury_arena.registry.loader import load_registry


@click.command("plugins")
@json_option
def plugins(as_json: bool) -> int:
    """List plugins: what each offers, and why it, or a name it offers, was refused.

    Exit code 1 when a plugin or a name was refused, or one changed what it shares with all others.

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
            source = f" ({report.distribution})" if report.status == "rejected" and report.distribution else ""
            said = "; ".join(part for part in (offers, report.reason) if part)
            click.echo(f"{report.name:14} {report.version or '-':8} {report.status:9} {said}{source}")
        for warning in registry.warnings:
            say(f"warning: {warning}")
    return 1 if registry.warnings else 0
