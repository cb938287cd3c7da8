"""An endpoint for Prometheus, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from treasury_arena.contracts.runtime import Observer, ObserverContext
from treasury_arena.errors import ConfigError
from treasury_arena.events.event import Event
from treasury_arena_observers.config import MetricsSection
from treasury_arena_observers.figures import KNOWN, Figures


class MetricsObserver(Observer):
    """Keeps figures up to date and serves them until it is closed."""

    name = "metrics"

    def __init__(self, section: MetricsSection, context: ObserverContext) -> None:
        registry = CollectorRegistry()
        self._figures = Figures(registry, context.run)
        for event in sorted(_found(context.newest), key=lambda one: one.seq):
            self._figures.recall(event)
        self._server = _serve(section, registry)
        self.port = self._server.server_port
        if section.port == 0:
            context.tell(f"observer.metrics: http://{section.host}:{self.port}/metrics")

    def observe(self, events: Sequence[Event]) -> None:
        """Count the events of the arena."""
        for event in events:
            self._figures.take(event, "arena")

    def observe_live(self, events: Sequence[Event]) -> None:
        """Count the events of the store of live orders."""
        for event in events:
            self._figures.take(event, "live")

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def build(section: MetricsSection, context: ObserverContext) -> Observer:
    """The observer; raises ConfigError when its port cannot be had."""
    return MetricsObserver(section, context)


def _found(newest: Callable[[str], Event | None]) -> list[Event]:
    """The newest event of each type that tells how things stand."""
    return [event for name in KNOWN if (event := newest(name)) is not None]


def _serve(section: MetricsSection, registry: CollectorRegistry) -> WSGIServer:
    try:
        server, _ = start_http_server(section.port, section.host, registry)
    except OSError as error:
        raise ConfigError(
            f"observer.metrics: cannot listen on {section.host}:{section.port} ({error.strerror or error}); expected an address "
            "of this machine and a port that nobody uses"
        ) from error
    return server
