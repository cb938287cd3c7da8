"""One address that apprise delivers to."""

from __future__ import annotations

import logging
from collections.abc import Callable

import apprise
from apprise import NotifyType

from treasury_arena.errors import ConfigError
from treasury_arena_observers.masking import Mask

#: Loggers of the libraries that see addresses.
LIBRARIES = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests", "requests_oauthlib.oauth2_session")
_TYPES = {logging.ERROR: NotifyType.FAILURE, logging.WARNING: NotifyType.WARNING}
_REASON_MAX = 200
#: Longest that one try may last.
TIMEOUT_SECONDS = 20.0


class House(apprise.AppriseAsset):
    """How apprise behaves here: in the calling thread, without files, plugins of others, or redirects that carry a token away."""

    app_id = "treasury-arena"
    app_desc = "Treasury Arena"
    app_url = ""
    async_mode = False
    http_redirects = False
    pgp_autogen = False
    pem_autogen = False


class Target:
    """An address of which only the kind is ever shown.

    Args:
        at: its place among the addresses, from 0.
        reference: where they are read from.
        mask: knows the addresses.
        url: reads this one.

    Raises ConfigError when apprise does not know what it is.
    """

    def __init__(self, at: int, reference: str, mask: Mask, url: Callable[[], str]) -> None:
        self._mask, self.name = mask, f"address {at + 1} of {reference}"
        # Failures are told by whoever sends; the library's own log is not shown, as it may name an address.
        library = logging.getLogger(LIBRARIES[0])
        if not library.handlers:
            library.addHandler(logging.NullHandler())
        library.propagate = False
        self._apprise = apprise.Apprise(asset=House(service_timeout=TIMEOUT_SECONDS))
        known = False
        try:
            known = self._apprise.add(url())
        except Exception as error:
            raise ConfigError(self._unknown(at, reference, type(error).__name__)) from None
        if not known:
            raise ConfigError(self._unknown(at, reference, "it is no URL that apprise knows"))
        kind = type(self._apprise[0]).__name__.removeprefix("Notify")
        self.name += f" ({kind})"

    @staticmethod
    def _unknown(at: int, reference: str, why: str) -> str:
        return f"observer.notify.urls: address {at + 1} of {reference} cannot be used: {why}; expected for example tgram://TOKEN/CHAT"

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    def send(self, title: str, body: str, level: int) -> str:
        """Deliver a message; returns why it could not be, without secrets, or an empty text."""
        try:
            result = self._apprise.notify(body=body, title=title, notify_type=_TYPES.get(level, NotifyType.INFO))
            if result:
                return ""
            told = [entry.message for entry in result.logs() if entry.level in ("WARNING", "ERROR", "CRITICAL")]
        except Exception as error:  # isolation: whatever a service's code raises, the message is tried again
            told = [f"{type(error).__name__}: {error}"]
        reason = self._mask(told[0]) if told else "no reason given"
        return " ".join(reason.split())[:_REASON_MAX]
