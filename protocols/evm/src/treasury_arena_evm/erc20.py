"""ERC-20 tokens as the treasury handles them: exact approvals, and refusals before anything is signed.

What a token does is not believed but tried, in one simulated block of the node: decimals against the pin, whether it is paused,
whether the issuer blocks a party, whether a transfer takes exactly what it says from one and gives it to the other, also when the
recipient is allowed to take it (as routers, pools and vaults do), and whether balances change by themselves within a year. A
token that returns nothing from `transfer` is fine; balances decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from treasury_arena.errors import TreasuryArenaError
from treasury_arena_evm.abi import Entry
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.answers import Outcome
from treasury_arena_evm.errors import AbiError, RevertError, TokenError
from treasury_arena_evm.interfaces.tokens import ERC20, ISSUER
from treasury_arena_evm.reading import ChainReader
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.session import Session
from treasury_arena_evm.tokens import Token

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

_BLOCKERS = ("isBlacklisted", "isBlackListed", "isBlocked", "isFrozen")
_REBASERS = ("sharesOf", "scaledBalanceOf", "rebasingCreditsPerToken")
_YEAR = 365 * 86_400
#: An allowance near the largest number is one without limit.
ALLOWANCE_MAX = 2**255


class TokenReader:
    """One pinned token as a chain shows it; nothing here is signed. Amounts are base units."""

    def __init__(self, reader: ChainReader, token: Token) -> None:
        if token.chain_id != reader.chain.id:
            raise TokenError(
                f"{token.symbol} is pinned on the chain with id {token.chain_id}, the session is on {reader.chain.name} "
                f"(id {reader.chain.id})"
            )
        self.reader = reader
        self.token = token

    def balance(self, owner: str) -> int:
        """What an address holds."""
        return int(self.reader.call(self.token.address, ERC20.function("balanceOf"), owner))

    def allowance(self, owner: str, spender: str) -> int:
        """What a spender may take from an owner."""
        return int(self.reader.call(self.token.address, ERC20.function("allowance"), owner, spender))

    def total_supply(self) -> int:
        """All there is."""
        return int(self.reader.call(self.token.address, ERC20.function("totalSupply")))

    def verify(self) -> None:
        """The contract is there and has the pinned decimals; TokenError otherwise."""
        try:
            found = self.reader.call(self.token.address, ERC20.function("decimals"))
        except (AbiError, RevertError) as error:
            if not self.reader.has_code(self.token.address):
                raise TokenError(f"{self._name} has no contract there; is it another chain's address?") from error
            raise TokenError(f"{self._name} does not say its decimals") from error
        self._check_decimals(found)

    def check(self, sender: str, recipient: str, amount_raw: int) -> None:
        """Refuse with a TokenError what must not be signed: see the module. Nothing is sent.

        `sender` is whoever holds the amount now: the treasury before it pays, or a pool before the treasury buys from it.
        """
        check_whole(amount_raw, f"an amount of {self.token.symbol} in base units")
        if amount_raw <= 0:
            raise TokenError(f"a transfer of {amount_raw} base units of {self.token.symbol} is none")
        if "rebasing" in self.token.quirks:
            raise TokenError(
                f"{self._name} is rebasing: its balances change by themselves, which the ledger cannot follow"
            )
        self.verify()
        address = self.token.address

        def ask(function: Entry, *arguments: object) -> tuple[str, str, bytes]:
            return sender, address, function.encode(*arguments)

        parties = (sender, recipient)
        balances = [ask(ERC20.function("balanceOf"), party) for party in parties]
        questions = [ask(ISSUER.function("paused"))]
        questions += [ask(ISSUER.function(name), party) for name in _BLOCKERS for party in parties]
        questions += [ask(ISSUER.function(name), sender) for name in _REBASERS[:2]] + [
            ask(ISSUER.function(_REBASERS[2]))
        ]
        calls = [*questions, *balances, ask(ERC20.function("transfer"), recipient, amount_raw), *balances, *balances]
        same = sender.lower() == recipient.lower()
        outcomes = self.reader.simulate(calls, [(len(calls) - 2, _YEAR)])
        answers, rest = outcomes[: len(questions)], outcomes[len(questions) :]
        self._refuse_issuer(answers, parties)
        self._refuse_transfer(rest, amount_raw, same=same)
        if same:
            return
        approve, take = ERC20.function("approve"), ERC20.function("transferFrom")
        allow = [ask(approve, recipient, 0), ask(approve, recipient, amount_raw)]  # some want a zero before
        taken = (recipient, address, take.encode(sender, recipient, amount_raw))
        self._refuse_pull(self.reader.simulate([*allow, *balances, taken, *balances])[1:], amount_raw)

    # --- refusals

    @property
    def _name(self) -> str:
        return f"{self.token.symbol} at {self.token.address}"

    def _check_decimals(self, found: int) -> None:
        if found != self.token.decimals:
            raise TokenError(f"{self._name} has {found} decimals, but {self.token.decimals} are pinned")

    def _refuse_issuer(self, answers: list[Outcome], parties: tuple[str, str]) -> None:
        if _truth(answers[0]):
            raise TokenError(f"{self._name} is paused by its issuer")
        blocked = answers[1 : 1 + 2 * len(_BLOCKERS)]
        for number, answer in enumerate(blocked):
            if _truth(answer):
                role = ("sender", "recipient")[number % 2]
                raise TokenError(f"{self._name} is blocked by its issuer for the {role} {parties[number % 2]}")
        for name, answer in zip(_REBASERS, answers[1 + len(blocked) :], strict=True):
            if answer.success and len(answer.data) >= 32:
                raise TokenError(f"{self._name} is rebasing (it answers {name}): its balances change by themselves")

    def _refuse_transfer(self, outcomes: list[Outcome], amount: int, *, same: bool) -> None:
        before, transfer, after, later = outcomes[:2], outcomes[2], outcomes[3:5], outcomes[5:7]
        numbers = [_number(outcome) for outcome in (*before, *after, *later)]
        held = numbers[0]
        if held is None or any(number is None for number in numbers):
            raise TokenError(f"{self._name} does not say balances")
        had, got, has, owns, has_later, owns_later = (number or 0 for number in numbers)
        if held < amount:
            raise TokenError(f"the sender holds {held} base units of {self.token.symbol}, fewer than {amount}")
        self._refuse_outcome("the transfer", transfer)
        if (has, owns) != (has_later, owns_later):  # first of all: amounts that grow do not move exactly either
            raise TokenError(f"{self._name} is rebasing: balances change by themselves within a year")
        if not same:
            self._refuse_fee("on transfer", amount, had - has, owns - got)

    def _refuse_pull(self, outcomes: list[Outcome], amount: int) -> None:
        self._refuse_outcome("an allowance", outcomes[0])
        self._refuse_outcome("the transfer by whom it allows to take it", outcomes[3])
        numbers = [_number(outcome) for outcome in (*outcomes[1:3], *outcomes[4:6])]
        if any(number is None for number in numbers):
            raise TokenError(f"{self._name} does not say balances")
        had, got, has, owns = (number or 0 for number in numbers)
        self._refuse_fee("when it is taken by whom it allows to", amount, had - has, owns - got)

    def _refuse_outcome(self, what: str, outcome: Outcome) -> None:
        if not outcome.success:
            raise TokenError(f"{self._name} refuses {what}: {outcome.reason or 'without a reason'}")
        if len(outcome.data) >= 32 and not _truth(outcome):
            raise TokenError(f"{self._name} refuses {what}: it returns false")

    def _refuse_fee(self, when: str, amount: int, paid: int, came: int) -> None:
        if (paid, came) != (amount, amount):
            raise TokenError(
                f"{self._name} takes a fee {when}: of {amount} base units the sender pays {paid} and the recipient gets {came}"
            )

    def needs_zero(self, owner: str, spender: str, amount: int) -> bool:
        """Whether the token demands an allowance of zero before another: pinned so, or found so."""
        if "approve_zero" in self.token.quirks:
            return True
        data = ERC20.function("approve").encode(spender, amount)
        return not self.reader.simulate([(owner, self.token.address, data)])[0].success


class Erc20(TokenReader):
    """One pinned token through a session that signs."""

    def __init__(self, session: Session, token: Token) -> None:
        super().__init__(session, token)
        self.session = session

    def approve(self, who: LocalAccount, spender: str, amount_raw: int) -> tuple[Receipt, ...]:
        """Let a spender take exactly so much; the receipts of what that needed: none if it is so already, two with a zero before.

        TokenError for a negative amount or one without limit, and when the allowance afterwards is another.
        """
        check_whole(amount_raw, f"an allowance of {self.token.symbol} in base units")
        if not 0 <= amount_raw < ALLOWANCE_MAX:
            raise TokenError(
                f"an allowance of {amount_raw} base units of {self.token.symbol}; the treasury approves exact amounts"
            )
        self.verify()
        current = self.allowance(who.address, spender)
        if current == amount_raw:
            return ()
        approve, receipts = ERC20.function("approve"), []
        if current and amount_raw and self.needs_zero(who.address, spender, amount_raw):
            receipts.append(self.session.send(who, self.token.address, approve, spender, 0))
        receipts.append(self.session.send(who, self.token.address, approve, spender, amount_raw))
        if (found := self.allowance(who.address, spender)) != amount_raw:
            raise TokenError(f"{self._name} was told an allowance of {amount_raw} base units, and says {found}")
        return tuple(receipts)

    @contextmanager
    def allowed(self, who: LocalAccount, spender: str, amount_raw: int) -> Iterator[None]:
        """Let a spender take exactly so much inside the block; what is left is taken back afterwards, also after an error.

        So it is when the approval itself was mined and could not be looked at. Ctrl-C goes through whether or not that works.
        """
        try:
            self.approve(who, spender, amount_raw)
            yield
        except BaseException as error:
            try:
                self.take_back(who, spender)
            except TreasuryArenaError:
                if isinstance(error, Exception):
                    raise
            raise
        self.take_back(who, spender)

    def take_back(self, who: LocalAccount, spender: str) -> None:
        """Leave a spender no allowance; nothing is sent where there is none."""
        if self.allowance(who.address, spender):
            self.approve(who, spender, 0)

    def transfer(self, who: LocalAccount, recipient: str, amount_raw: int) -> Receipt:
        """Pay, after `check`; TokenError when other amounts moved than were asked for."""
        self.check(who.address, recipient, amount_raw)
        receipt = self.session.send(who, self.token.address, ERC20.function("transfer"), recipient, amount_raw)
        expected = 0 if who.address.lower() == recipient.lower() else amount_raw
        if receipt.deltas(recipient).get(self.token.address, 0) != expected:
            raise TokenError(f"{self._name} moved another amount than {amount_raw} base units in {receipt.hash}")
        return receipt


def _number(outcome: Outcome) -> int | None:
    return int.from_bytes(outcome.data[:32], "big") if outcome.success and len(outcome.data) >= 32 else None


def _truth(outcome: Outcome) -> bool:
    return bool(_number(outcome))
