"""The files that a local chain's user starts with: a daemon's whole configuration, and the rules of its signer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs

from treasury_arena_evm.local.anvil import CHAIN_ID
from treasury_arena_evm.local.artifacts import write_whole
from treasury_arena_evm.local.kept import KeptChain

ARENA, SIGNER = "arena.toml", "signer.toml"
SOCKET = "signer.sock"
VAULT_FUNCTIONS = ["deposit(uint256,self)", "withdraw(uint256,self,self)", "redeem(uint256,self,self)"]

_ARENA = """\
# An arena whose agents trade on the local chain in this folder. A rehearsal: its market is the built-in simulated one, a second
# of the wall is a day of the arena, and the rules that let agents trade are lax, so that there are orders within a minute.
name = "local"
start = "2024-01-01"
end = "2027-12-31"
seed = 5
profile = "balanced"

[capital]
idle_market = "usdc_lending"

[population]
agents = 8
training_days = 20
birth_cycles = 2

[evolution]
population = 10
generations = 2

[rules]
simulation_floored_min = "off"
simulation_psr_min = "off"
simulation_drawdown_max = "off"
simulation_age_days_min = 7
arena_return_min = "off"
arena_floored_min = "off"
arena_drawdown_max = "off"
arena_age_days_min = 7
fidelity_tolerance = "off"
death_drawdown = 0.008
death_floored_below = "off"

[strategies]
enabled = ["farmer"]

[source]
name = "simulated"

[source.simulated]
gas_usd = 0.05

{markets}
[daemon]
mode = "local"
scheduler = "plain"
speed = 86_400.0
order_seconds = 1
reconcile_seconds = 5

[live]
chain = "evm"
signer = "process"
address = {address}
# The vaults of this chain earn nothing, the simulated markets do: a comparison with simulation would stop every agent.
fidelity_bps = 100_000.0
{store}
{places}
{chain}
[signer.process]
socket = {socket}
"""


@attrs.frozen
class Wishes:
    """What the user chose.

    Attributes:
        keystore: folder of the keys.
        passphrase: reference to the passphrase, None to be asked for it.
        stop_file: what `arena stop` writes: beside the arena's SQLite file.
        live_store: database of live orders, or a reference to it; None for a file of its own.
    """

    keystore: Path
    passphrase: str | None
    stop_file: Path
    live_store: str | None


def write_files(kept: KeptChain, wishes: Wishes) -> list[Path]:
    """Write both files where they are missing, for only their owner to write; what is there may have been edited and stays."""
    wishes.stop_file.parent.mkdir(parents=True, exist_ok=True)
    arena, signer = kept.folder / ARENA, kept.folder / SIGNER
    for path, text in ((arena, arena_text(kept, wishes.live_store)), (signer, signer_text(kept, wishes))):
        if not path.exists():
            write_whole(path, text)
            os.chmod(path, 0o600)
    return [arena, signer]


def arena_text(kept: KeptChain, live_store: str | None = None) -> str:
    """A daemon's configuration on this chain."""
    markets = [
        f'[markets.{name}]\nmodel = "erc4626.vault"\nasset = "USDC"\n'
        f'columns = {{ rate = "{coin}.lending_rate", price = "USDC.price", gas = "gas.usd" }}\n'
        for name, coin in ((name, name.split("_")[0].upper()) for name in kept.vaults)
    ]
    places = [f"[live.markets.{name}]\nvault = {_text(vault)}\n" for name, vault in kept.vaults.items()]
    return _ARENA.format(
        markets="\n".join(markets),
        address=_text(kept.address),
        store="" if live_store is None else f"store = {_text(live_store)}\n",
        places="\n".join(places),
        chain=chain_text(kept),
        socket=_text(str((kept.folder / SOCKET).absolute())),
    )


def chain_text(kept: KeptChain) -> str:
    """The tables ``chain.evm``: node, tokens, contracts and vaults."""
    market = kept.market
    contracts = {
        "uniswap_v3_router": market.uniswap.router02,
        "uniswap_v3_positions": market.uniswap.positions,
        "aave_v3_provider": market.aave.provider,
    }
    lines = [
        "[chain.evm]",
        'chain = "local"',
        f"endpoints = {{ anvil = {_text(market.url)} }}",
        f"wrapped = {_text(market.token('WETH').address)}",
        "",
    ]
    for symbol, token in market.tokens.items():
        lines += [
            f"[chain.evm.tokens.{symbol}]",
            f"address = {_text(token.address)}",
            f"decimals = {token.decimals}",
            "",
        ]
    lines += ["[chain.evm.contracts]", *(f"{role} = {_text(address)}" for role, address in contracts.items()), ""]
    lines += ["[chain.evm.vaults]", *(f"{name} = {_text(vault)}" for name, vault in kept.vaults.items()), ""]
    return "\n".join(lines)


def signer_text(kept: KeptChain, wishes: Wishes) -> str:
    """The rules of the signer: the vaults, approvals of USDC to them, and nothing else."""
    usdc = kept.market.token("USDC")
    funds = kept.market.balance("USDC", kept.address)
    lines = [
        "# What the signer of this chain's treasury signs: deposits into the vaults and withdrawals from them.",
        f"keystore = {_text(str(wishes.keystore.absolute()))}",
        f"address = {_text(kept.address)}",
        'mode = "local"',
        f"chain_id = {CHAIN_ID}",
        f"socket = {_text(SOCKET)}",
        f"stop_file = {_text(str(wishes.stop_file.absolute()))}",
        *([] if wishes.passphrase is None else [f"passphrase = {_text(_absolute(wishes.passphrase))}"]),
        "",
        "[limits]",
        "gas_max = 2_000_000",
        "fee_cap_raw_max = 500_000_000_000",
        "tip_raw_max = 50_000_000_000",
        "signatures_per_minute = 1_000",
        "",
        "[contracts.usdc]",
        f"address = {_text(usdc.address)}",
        'functions = ["approve(address,uint256)"]',
        "",
        "[contracts.usdc.allowances]",
        *(f"{_text(vault)} = {funds}" for vault in kept.vaults.values()),
    ]
    for name, vault in kept.vaults.items():
        functions = ", ".join(map(_text, VAULT_FUNCTIONS))
        lines += ["", f"[contracts.{name}]", f"address = {_text(vault)}", f"functions = [{functions}]"]
    return "\n".join(lines) + "\n"


def _absolute(reference: str) -> str:
    kind, _, rest = reference.partition(":")
    return f"file:{Path(rest).absolute()}" if kind == "file" else reference


def _text(text: str) -> str:
    return json.dumps(text)
