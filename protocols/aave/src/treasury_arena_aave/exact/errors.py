"""Why a pool refuses: the contract's own error number and name.

Numbers and names: Errors.sol of @aave/core-v3 1.19.3. From version 3.4 on the contracts answer with custom errors of the
same names in camel case instead of numbers; `RefusalError.signature` spells them. ``uint128`` is SafeCast.sol's of OpenZeppelin.
"""

from __future__ import annotations

from typing import Final

from treasury_arena.errors import ValidationError

SENTENCES: Final = {
    "18": ("RESERVE_LIQUIDITY_NOT_ZERO", "somebody has supplied here"),
    "24": ("INVALID_MINT_AMOUNT", "the amount is too small to be a scaled unit"),
    "25": ("INVALID_BURN_AMOUNT", "the amount is too small to be a scaled unit"),
    "26": ("INVALID_AMOUNT", "the amount must be above zero"),
    "27": ("RESERVE_INACTIVE", "the reserve is not active"),
    "28": ("RESERVE_FROZEN", "the reserve is frozen"),
    "29": ("RESERVE_PAUSED", "the reserve is paused"),
    "30": ("BORROWING_NOT_ENABLED", "the reserve cannot be borrowed"),
    "32": ("NOT_ENOUGH_AVAILABLE_USER_BALANCE", "more than the user has supplied"),
    "34": ("COLLATERAL_BALANCE_IS_ZERO", "the user has no collateral"),
    "35": ("HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD", "the health factor is or would be below one"),
    "36": ("COLLATERAL_CANNOT_COVER_NEW_BORROW", "the collateral does not cover the loan"),
    "39": ("NO_DEBT_OF_SELECTED_TYPE", "the user owes nothing here"),
    "43": ("UNDERLYING_BALANCE_ZERO", "the user has supplied nothing here"),
    "45": ("HEALTH_FACTOR_NOT_BELOW_THRESHOLD", "the health factor is not below one"),
    "46": ("COLLATERAL_CANNOT_BE_LIQUIDATED", "this asset is not the user's collateral"),
    "47": ("SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER", "the user does not owe this asset"),
    "50": ("BORROW_CAP_EXCEEDED", "the borrow cap would be exceeded"),
    "51": ("SUPPLY_CAP_EXCEEDED", "the supply cap would be exceeded"),
    "57": ("LTV_VALIDATION_FAILED", "collateral with a loan-to-value of zero has to leave first"),
    "58": ("INCONSISTENT_EMODE_CATEGORY", "the asset or the debt is not of this e-mode category"),
    "62": ("USER_IN_ISOLATION_MODE_OR_LTV_ZERO", "an asset with a loan-to-value of zero cannot become collateral"),
    "82": ("ASSET_NOT_LISTED", "the pool does not list the asset"),
    "0x11": ("ARITHMETIC", "the reserve has not that much cash"),
    "uint128": ("SAFE_CAST_OVERFLOWED_UINT_DOWNCAST", "an index no longer fits in 128 bits"),
    "transfer": ("TRANSFER_FAILED", "the token refuses the transfer"),
    "dust": ("MUST_NOT_LEAVE_DUST", "the liquidation would leave too little of collateral or debt"),
    "self": ("SELF_LIQUIDATION", "nobody liquidates himself"),
}
"""Code -> (name, sentence); ``0x11`` is Solidity's panic for an underflow, ``uint128``, ``dust`` and ``self`` have names only."""


class RefusalError(ValidationError):
    """The pool reverts; nothing was changed.

    Attributes:
        code: the contract's error number as text, or one of the special codes of `SENTENCES`.
        name: the contract's name of the error.
        version: the version that refuses.
    """

    def __init__(self, code: str, version: str, what: str = "") -> None:
        self.code, self.version = code, version
        self.name, sentence = SENTENCES[code]
        subject = f"{what}: " if what else ""
        number = f"{code} " if code.isdigit() else ""
        super().__init__(f"{subject}{sentence} (Aave {version}, {number}{self.name})")

    @property
    def signature(self) -> str:
        """The custom error of version 3.4 and later."""
        takes = "(uint8,uint256)" if self.code == "uint128" else "()"
        return "".join(part.capitalize() for part in self.name.split("_")).replace("Emode", "EMode") + takes
