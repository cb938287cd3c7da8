"""How long after the emergency stop a signature can still come out of the signer, and how many signatures a second it gives.

    python benchmarks/bench_signer_stop.py [--tries 1000] [--clients 4]

A real signer process is asked by several threads without pause; they do not look at the stop file themselves. In each try the
stop file is written as `arena stop` writes it; the try's figure is the time from the moment before writing it to the last
signature received, 0 when none came after. Then the file is removed and a signature is waited for. The clock is that of the
asker, so the way back through the socket is part of the figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import attrs

from treasury_arena.clock import Stopwatch, WallClock
from treasury_arena.contracts.chain import Fees, Unsigned
from treasury_arena.store.stop import StopFile
from treasury_arena_keys.hidden import Hidden
from treasury_arena_keys.keystore import Keystore, Mode
from treasury_arena_keys.transactions import payload
from treasury_arena_keys.vault import Vault

CHAIN, TOKEN, WORD = 31337, "0x" + "a" * 40, "a passphrase of the benchmark"
CANCEL_GAS = 21_000


@attrs.define
class Bench:
    """The signer's folder and what the askers have seen."""

    folder: Path
    address: str
    watch: Stopwatch = attrs.field(factory=Stopwatch)
    last: float = 0.0
    signed: int = 0
    over: threading.Event = attrs.field(factory=threading.Event)

    @property
    def stop_file(self) -> Path:
        return self.folder / "arena.db.stop"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait until it answers."""
        word = self.folder / "word"
        word.write_text(WORD)
        word.chmod(0o600)
        file = self.folder / "signer.toml"
        file.write_text(
            f'keystore = "keys"\naddress = "{self.address}"\nmode = "local"\nchain_id = {CHAIN}\nsocket = "run/s"\n'
            f'stop_file = "arena.db.stop"\npassphrase = "file:{word}"\n'
            f'[limits]\nsignatures_per_minute = 1_000_000\n[contracts.token]\naddress = "{TOKEN}"\nfunctions = []\n'
        )
        file.chmod(0o600)
        with open(self.folder / "diary", "w") as diary:
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "treasury_arena_keys.serve", str(file)], stdout=diary, stderr=diary
            )
        while process.poll() is None:
            with contextlib.suppress(OSError):  # not listening yet
                self.ask(0)
                return process
            time.sleep(0.05)
        raise SystemExit((self.folder / "diary").read_text())

    def ask(self, nonce: int) -> bool:
        """Whether a cancel of that nonce was signed."""
        draft = Unsigned(CHAIN, self.address, nonce, self.address, 0, "0x", CANCEL_GAS, Fees(10**9, 10**9))
        request = {
            "do": "sign",
            "sender": self.address,
            "unsigned": "0x" + payload(draft).hex(),
            "stop_file": os.path.realpath(self.stop_file),
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "run" / "s"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while part := connection.recv(65_536):
                answer += part
        return bool(json.loads(answer)["ok"])

    def press(self, first: int) -> None:
        """Ask without pause until it is over."""
        nonce = first
        while not self.over.is_set():
            if self.ask(nonce):
                self.last = self.watch.seconds()
                self.signed += 1
            nonce += 1

    def once(self) -> float:
        """Seconds from the stop to the last signature after it."""
        before = self.signed
        while self.signed == before:
            time.sleep(0.001)
        stop = StopFile(self.stop_file)
        begun = self.watch.seconds()
        stop.engage("measured", "bench", WallClock())
        time.sleep(0.15)
        last = self.last
        stop.remove()
        return max(0.0, last - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tries", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        vault = Vault.new()
        Keystore(Path(name) / "keys").add(vault, Hidden(WORD), Mode.LOCAL, 1024)
        bench = Bench(Path(name), vault.address)
        process = bench.start()
        askers = [threading.Thread(target=bench.press, args=(10**9 * (at + 1),)) for at in range(options.clients)]
        try:
            for one in askers:
                one.start()
            watch, before = Stopwatch(), bench.signed
            time.sleep(3)
            rate = (bench.signed - before) / watch.seconds()
            found = sorted(bench.once() * 1_000 for _ in range(options.tries))
        finally:
            bench.over.set()
            for one in askers:
                one.join()
            process.send_signal(signal.SIGTERM)
            process.wait()
    p99 = found[min(len(found) - 1, int(len(found) * 0.99))]
    print(
        f"{options.tries} stops, {options.clients} clients, {rate:.0f} signatures a second before them, "
        f"load {os.getloadavg()[0]:.1f}\n"
        f"last signature after the stop: median {statistics.median(found):.1f} ms, p99 {p99:.1f} ms, max {found[-1]:.1f} ms"
    )


if __name__ == "__main__":
    main()
