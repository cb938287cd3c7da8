"""What a node says to signed bytes, in the dialects of Geth, Erigon, Nethermind, Besu, Reth, anvil and providers."""

from __future__ import annotations

OK, KNOWN, REFUSED, UNKNOWN = "ok", "known", "refused", "unknown"

#: It has these very bytes. "already known" Geth, Erigon and Reth; "alreadyknown" Nethermind; "known transaction" Besu and old
#: Geth; "already imported" anvil and Parity's heirs; the rest are providers' and rollups'.
_KNOWN = (
    "already known",
    "alreadyknown",
    "already_known",
    "already_exists",
    "known transaction",
    "already imported",
    "already in mempool",
    "already in the mempool",
    "already have transaction",
    "already have this transaction",
    "already exists in",
    "transaction already exists",
    "transaction_already_known",
    "duplicate transaction",
)
#: It will not take them as things are. That the nonce is used may also mean that these bytes were mined: look, do not conclude.
_REFUSED = (
    "nonce too low",
    "nonce is too low",
    "nonce too high",
    "nonce_too_low",
    "oldnonce",
    "invalid nonce",
    "invalid transaction nonce",
    "nonce has already been used",
    "nonce below",
    "noncegap",
    "nonce gap",
    "underpriced",
    "feetoolow",
    "fee too low",
    "gas price too low",
    "gas price below",
    "less than block base fee",
    "below base fee",
    "below the network",
    "max fee per gas",
    "maxfeepergas",
    "priority fee",
    "insufficient funds",
    "insufficientfunds",
    "insufficient balance",
    "upfront cost exceeds",
    "overshot",
    "intrinsic gas",
    "gaslimitexceeded",
    "gas limit",
    "exceeds the configured cap",
    "invalid sender",
    "failedtoresolvesender",
    "invalid signature",
    "invalid chain id",
    "invalid chain",
    "wrong chain",
    "chain id",
    "chainid",
    "transaction type not supported",
    "tx type not supported",
    "oversized data",
    "txpool is full",
    "transaction pool is full",
    "sender already has",
    "account limit exceeded",
    "rlp",
    "invalid transaction",
    "execution reverted",
)


def outcome(text: str) -> str:
    """What a node's error text means: `KNOWN`, `REFUSED`, or `UNKNOWN` for everything that is not understood."""
    plain = text.lower()
    if any(piece in plain for piece in _KNOWN):
        return KNOWN
    return REFUSED if any(piece in plain for piece in _REFUSED) else UNKNOWN
