"""What the signer signs, judged on its own reading of the transaction and nothing that the asker says about it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from treasury_arena.contracts.chain import Refusal, Unsigned
from treasury_arena.errors import ValidationError
from treasury_arena_keys.functions import ALLOWANCES, Function, foreign, inner_calls
from treasury_arena_keys.transactions import hex_bytes

CANCEL_GAS = 21_000
CALLS_MAX = 16
_DEEPEST = 1


@attrs.frozen
class Allowed:
    """One contract that may be called.

    Attributes:
        name: as configured.
        functions: by selector.
        allowances: spender (lower case) -> most base units that it may be allowed at once.
        value_raw_max: most wei that may go along with a call.
    """

    name: str
    functions: Mapping[bytes, Function]
    allowances: Mapping[str, int]
    value_raw_max: int = 0


@attrs.frozen
class Policy:
    """The rules of one signer, for one chain and one sender.

    Attributes:
        contracts: by address in lower case.
        gas_max: highest gas limit.
        fee_cap_raw_max, tip_raw_max: most wei per unit of gas, in all and for the block's maker.
    """

    chain_id: int
    sender: str
    contracts: Mapping[str, Allowed]
    gas_max: int
    fee_cap_raw_max: int
    tip_raw_max: int

    def judge(self, transaction: Unsigned) -> Refusal | None:
        """Why it is not signed, or None."""
        t = transaction
        if t.chain_id != self.chain_id:
            return Refusal(
                "chain", f"the transaction is for chain {t.chain_id}; this signer signs for {self.chain_id} only"
            )
        if t.sender.lower() != self.sender.lower():
            return Refusal("sender", f"the transaction is {t.sender}'s; this signer signs for {self.sender} only")
        if not 0 < t.gas <= self.gas_max:
            return Refusal("gas", f"its gas limit is {t.gas}; at most {self.gas_max} is allowed")
        if t.fees.cap_raw > self.fee_cap_raw_max:
            return Refusal("fees", f"its fee cap is {t.fees.cap_raw} wei; at most {self.fee_cap_raw_max} is allowed")
        if t.fees.tip_raw > min(self.tip_raw_max, t.fees.cap_raw):
            return Refusal(
                "fees", f"its tip is {t.fees.tip_raw} wei; at most {self.tip_raw_max}, and its cap, is allowed"
            )
        if t.to.lower() == self.sender.lower():
            return self._cancel(t)
        contract = self.contracts.get(t.to.lower())
        if contract is None:
            return Refusal("target", f"it calls {t.to}, which is not among this signer's contracts")
        if t.value_raw > contract.value_raw_max:
            return Refusal(
                "value", f"it sends {t.value_raw} wei to {contract.name}; at most {contract.value_raw_max} is allowed"
            )
        try:
            return self._call(contract, hex_bytes(t.data, "data"), 0)
        except ValidationError as error:
            return Refusal("calldata", str(error))

    def _cancel(self, t: Unsigned) -> Refusal | None:
        """A transfer of nothing to oneself uses up a nonce and does nothing else."""
        if t.value_raw or t.data != "0x" or t.gas > CANCEL_GAS:
            return Refusal(
                "target", "a transaction to the sender itself may only be a cancel: no value, no data, 21000 gas"
            )
        return None

    def _call(self, contract: Allowed, data: bytes, depth: int) -> Refusal | None:
        function = contract.functions.get(data[:4]) if len(data) >= 4 else None
        if function is None:
            return Refusal(
                "selector", f"it calls 0x{data[:4].hex()} of {contract.name}, which is not among its functions"
            )
        values = function.arguments(data[4:])
        if values is None:
            return Refusal("calldata", f"its arguments are not those of {function.text} of {contract.name}")
        other = foreign(function.parameters, values, self.sender)
        if other is not None:
            return Refusal(
                "recipient", f"{function.text} of {contract.name} names {other} where the sender itself must be"
            )
        if function.name in ALLOWANCES:
            return self._allowance(contract, function, str(values[0]).lower(), int(values[1]))
        calls = inner_calls(function.parameters, values)
        if calls and depth >= _DEEPEST:
            return Refusal("calldata", f"calls within calls of {contract.name} go deeper than {_DEEPEST + 1}")
        if len(calls) > CALLS_MAX:
            return Refusal("calldata", f"{len(calls)} calls in one; at most {CALLS_MAX} are read")
        for inner in calls:
            refusal = self._call(contract, inner, depth + 1)
            if refusal is not None:
                return refusal
        return None

    @staticmethod
    def _allowance(contract: Allowed, function: Function, spender: str, amount: int) -> Refusal | None:
        bound = contract.allowances.get(spender)
        if bound is None:
            return Refusal(
                "allowance", f"{function.name} of {contract.name} names the spender {spender}, who is not allowed one"
            )
        if amount > bound:
            return Refusal(
                "allowance",
                f"{function.name} of {contract.name} is for {amount} base units; at most {bound} is allowed",
            )
        return None
