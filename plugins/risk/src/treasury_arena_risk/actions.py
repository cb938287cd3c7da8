"""What a trip asks for: objects with postconditions, each of which may be tried again at any time."""

from __future__ import annotations

import math

import attrs

from treasury_arena.contracts.fuse import Action, FuseHands, FuseView, Task
from treasury_arena.errors import ValidationError


@attrs.frozen
class HaltNewRisk(Action):
    """No order that increases risk waits to be sent. The tripped fuse itself lets no new one begin."""

    name: str = "halt_new_risk"
    holds: bool = True
    standing: bool = True

    def done(self, view: FuseView, task: Task) -> bool:
        return view.waiting_orders() == 0

    def perform(self, hands: FuseHands, task: Task) -> None:
        hands.drop_waiting(task)


@attrs.frozen
class CancelUnmined(Action):
    """No order that increases risk is on its way to a block."""

    name: str = "cancel_unmined"
    holds: bool = True
    standing: bool = True

    def done(self, view: FuseView, task: Task) -> bool:
        return view.unmined_orders() == 0

    def perform(self, hands: FuseHands, task: Task) -> None:
        hands.cancel_unmined(task)


@attrs.frozen
class Delever(Action):
    """No account has more leverage than `leverage`."""

    leverage: float = 1.0
    name: str = "delever"

    def done(self, view: FuseView, task: Task) -> bool:
        present = view.leverage()
        return math.isfinite(present) and present <= self.leverage

    def perform(self, hands: FuseHands, task: Task) -> None:
        hands.delever(task, self.leverage)


@attrs.frozen
class Reduce(Action):
    """The exposure is at most what a sale of `share` of it leaves, measured once per trip: no retry sells a second share.

    `share` is 0.3 to 0.7; what remains is rounded down to whole base units.
    """

    share: float = 0.5
    name: str = "reduce"

    def target(self, view: FuseView) -> int:
        exposure_raw = view.exposure_raw()
        if exposure_raw < 0:
            raise ValidationError(f"the exposure is {exposure_raw}; expected at least 0")
        sold, of = self.share.as_integer_ratio()
        return exposure_raw * (of - sold) // of

    def done(self, view: FuseView, task: Task) -> bool:
        return task.target_raw is not None and view.exposure_raw() <= task.target_raw

    def perform(self, hands: FuseHands, task: Task) -> None:
        if task.target_raw is None:
            raise ValidationError("what is to be left was never measured; nothing is sold")
        hands.reduce(task, task.target_raw)


@attrs.frozen
class Notify(Action):
    """People know. The fuse does not wait for it."""

    name: str = "notify"
    holds: bool = False

    def done(self, view: FuseView, task: Task) -> bool:
        return view.notified(task.key)

    def perform(self, hands: FuseHands, task: Task) -> None:
        hands.notify(task)
