"""`arena chain chaos`: the proof on a chain that nothing is lost, in one command."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import click

from treasury_arena.errors import ConfigError
from treasury_arena_evm.local.rehearsal import Proof, rehearse


@click.command("chaos")
@click.option(
    "--minutes", type=click.FloatRange(min=0.0, min_open=True), default=2.0, show_default=True, help="How long."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the moments at which programs are killed.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/chain-chaos"),
    show_default=True,
    help="Folder for chain, key and run; there must be none yet.",
)
@click.option("--anvil", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another anvil program.")
@click.option("--quiet", is_flag=True, help="No words about what is being done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def chaos(minutes: float, seed: int, out: Path, anvil: Path | None, quiet: bool, as_json: bool) -> int:
    """Kill daemon and signer (SIGKILL) of an arena on a chain of its own at random moments, then prove that nothing was lost.

    Starts everything by itself: a key, `arena chain local`, `arena keys serve` and `arena chaos` with the configuration of that
    chain. Afterwards, under a soft stop, every open order must come to its end, and journal, ledger and chain must agree. Needs
    npm, which brings the node at the first start. Exit code 1 when anything was lost, doubled or hidden.

    \b
    Example:
      arena chain chaos --minutes 2
    """
    if out.exists():
        raise ConfigError(f"{out} is there already: give another --out")
    proof = rehearse(out, minutes, seed, anvil, lambda text: None if quiet else click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps({"out": str(out), **attrs.asdict(proof)}, indent=1, sort_keys=True))
    else:
        _tell(proof)
    return 1 if proof.lost else 0


def _tell(proof: Proof) -> None:
    orders = ", ".join(f"{n} {state}" for state, n in sorted(proof.chaos.get("orders", {}).items())) or "none"
    click.echo(f"the daemon was killed {proof.chaos['kills']} times, the signer {proof.signer_kills} times")
    click.echo(
        f"orders on the chain until then: {orders}; what was open ended in {proof.settled_seconds:.0f} s under a soft stop"
    )
    for text in proof.lost:
        click.echo(f"LOST: {text}")
    click.echo("something was lost, doubled or hidden" if proof.lost else "nothing was lost, doubled or hidden")
