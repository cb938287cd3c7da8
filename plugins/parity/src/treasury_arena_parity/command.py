"""`arena parity`: check on this machine that the exact engines equal the contracts, and how far the models are from them."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from treasury_arena.contracts.parity import GapResult, ParityResult, Told
from treasury_arena.registry.loader import load_registry
from treasury_arena_parity.checks import Check, Failed, Result, choose, document, run

SHOWN_MAX = 200
WIDTH_MIN = 80
WIDTH_OF_BOTH = 100
"""From this width on a check and the contracts it is against have a column each."""


@click.command()
@click.option(
    "--operations", type=click.IntRange(1), default=500, show_default=True, help="Random operations per check."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Draws the operations.")
@click.option(
    "--anvil",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The local node's program (default: the one from npm, installed when first needed).",
)
@click.option("--protocol", "protocols", multiple=True, help="Only this protocol's checks; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
def parity(operations: int, seed: int, anvil: Path | None, protocols: tuple[str, ...], as_json: bool) -> int:
    """Compare every protocol's arithmetic with the contracts' own bytecode, operation by operation.

    Random operations run on the exact engine and on the deployed contracts on a local node side by side; every quantity is
    compared to the last base unit (wei). Then the models of the search are compared with the exact engines, as relative
    error. Needs npm for the node and the contracts' published artifacts; no key, no chain, no account.

    Exit code 0: no difference and every model within its bound, 1: something differs or an engine broke, whatever else could
    not be checked, 2: usage or a check that cannot run.

    \b
    Example:
      arena parity --operations 2000 --seed 7
    """
    checks = choose(load_registry().protocols, protocols)
    results = _run(checks, operations, seed, anvil)
    found = document(results, operations, seed)
    if as_json:
        click.echo(json.dumps(found, indent=1, sort_keys=True, allow_nan=False))
    else:
        show(results)
    if any(_differs(result) for result in results):
        return 1
    return 0 if found["ok"] else 2


def _differs(result: Result) -> bool:
    """Whether a check found a difference, or its engine broke; one that could not be run has found nothing."""
    return not result.ok and not (isinstance(result, Failed) and not result.crashed)


def _run(checks: list[Check], operations: int, seed: int, anvil: Path | None) -> list[Result]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:

        def begun(check: Check) -> Told:
            task = bar.add_task(check.name, total=operations)
            return lambda done, of: bar.update(task, completed=done, total=of)

        return list(run(checks, operations, seed, anvil, begun))


def show(results: list[Result]) -> None:
    """Print the results for people, on standard output."""
    console = Console(width=max(WIDTH_MIN, Console().width), highlight=False)
    bytecode = [result for result in results if isinstance(result, ParityResult)]
    models = [result for result in results if isinstance(result, GapResult)]
    if bytecode:
        # Folded, for which version was compared must not be cut off in a narrow window.
        narrow = console.width < WIDTH_OF_BOTH
        names = ("Exact against bytecode",) if narrow else ("Exact against bytecode", "Contracts")
        table = Table(*(Column(name, overflow="fold") for name in names), title_justify="left")
        for name in ("Operations", "Refused alike", "Compared", "Largest difference", "Seconds"):
            longest = max(len(word) for word in name.split())
            table.add_column(name, justify="right", min_width=longest, overflow="fold")
        for check in bytecode:
            largest = max(check.differences.values(), default=0)
            table.add_row(
                *((f"{check.name}\n{check.against}",) if narrow else (check.name, check.against)),
                f"{check.operations:,}",
                f"{check.refused:,}",
                f"{sum(check.compared.values()):,}",
                f"{largest:,} wei" if check.ok or largest else "differs",
                f"{check.seconds:.1f}",
            )
        console.print(table)
        _quantities(console, bytecode)
    if models:
        table = Table("Model against exact", title_justify="left")
        for name in ("Cases", "Median", "99 %", "Largest", "Bound"):
            table.add_column(name, justify="right")
        for gap in models:
            numbers = (gap.median, gap.high, gap.largest, gap.bound)
            table.add_row(gap.name, f"{gap.cases:,}", *(f"{value:.1e}" for value in numbers))
        console.print(table)
    for result in results:
        if not result.ok:
            console.print(_trouble(result), style="bold", markup=False)
    unrun = [result for result in results if not result.ok and not _differs(result)]
    if any(_differs(result) for result in results):
        console.print("NOT EQUAL: see above")
    if unrun:
        console.print(f"NOT CHECKED: {len(unrun)} of {len(results)} checks could not be run")
    if all(result.ok for result in results):
        console.print("no difference")


def _quantities(console: Console, results: list[ParityResult]) -> None:
    """How often each quantity was compared, over all checks, with its largest difference."""
    counts: dict[str, int] = {}
    worst: dict[str, int] = {}
    for result in results:
        for name, count in result.compared.items():
            counts[name] = counts.get(name, 0) + count
            worst[name] = max(worst.get(name, 0), result.differences.get(name, 0))
    table = Table("Quantity", title_justify="left")
    for name in ("Compared", "Largest difference, wei"):
        table.add_column(name, justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}", f"{worst[name]:,}")
    console.print(table)


def _trouble(result: Result) -> str:
    if isinstance(result, ParityResult):
        return f"{result.name}: {result.first or 'nothing was compared'}"[:SHOWN_MAX]
    if isinstance(result, GapResult):
        return f"{result.name}: the largest error {result.largest:.2e} is beyond the bound {result.bound:.0e}"
    return f"{result.name} {'broke' if result.crashed else 'could not be run'}: {result.reason}"
