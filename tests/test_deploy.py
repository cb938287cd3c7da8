"""The examples of deployment start what the program has: their command lines run, and their paths fit together."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from treasury_arena.cli.main import arena

DEPLOY = Path(__file__).resolve().parents[1] / "examples" / "deploy"
STATE, ETC = "/var/lib/arena/run", "/etc/arena/daemon.toml"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / name).read_text())
    return parser


def image() -> dict[str, str]:
    """Instruction -> its newest value, of the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return {word: rest for line in text.splitlines() if line and line[0] != "#" for word, rest in [line.split(" ", 1)]}


def compose() -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(found, dict)
    return found


def words(name: str) -> list[str]:
    """What a deployment gives to `arena`."""
    if name == "unit":
        command = unit("arena.service")["Service"]["ExecStart"].split()
        assert command[0].endswith("/bin/arena")
        return command[1:]
    if name == "image":
        assert json.loads(image()["ENTRYPOINT"]) == ["arena"]
        return list(json.loads(image()["CMD"]))
    return list(compose()["services"]["arena"]["command"])


@pytest.mark.parametrize("name", ["unit", "image", "compose"])
def test_its_command_runs(
    name: str, house: Any, small_config: Path, tmp_path: Path, fresh_postgres: Callable[[], str]
) -> None:
    secret = tmp_path / "database_url"
    places = {ETC: str(small_config), STATE: str(tmp_path / "run"), "file:/run/secrets/database_url": f"file:{secret}"}
    if name == "compose":
        secret.write_text(fresh_postgres() + "\n")
    given = words(name)
    assert {ETC, STATE} <= set(given)
    done = house.arena(*[places.get(word, word) for word in given], "--seconds", "1", "--json").ok()
    assert done.json["last_seq"] > 0
    status = house.arena("status", tmp_path / "run", "--json").ok().json
    assert status["events"] == done.json["last_seq"] + 2  # DaemonStopped, LeaseReleased
    assert (tmp_path / "run" / "arena.db").exists() == (name != "compose")


def test_an_outage_at_the_start_is_not_what_the_unit_gives_up_after(
    house: Any, small_config: Path, tmp_path: Path
) -> None:
    """After a boot the server may be a minute late, and a disk that is full is made room on: both go by themselves."""
    assert unit("arena.service")["Service"]["RestartPreventExitStatus"] == "2"
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"postgresql://ann@127.0.0.1:{free.getsockname()[1]}/arena"
    late = house.arena("daemon", small_config, "--db", nobody, "--out", tmp_path / "late")
    assert (late.code, late.out) == (1, "")
    assert "cannot be reached" in late.err
    arguments = house.command("daemon", small_config, "--out", tmp_path / "full", "--seconds", "1")
    command = ["sh", "-c", f"ulimit -f 8; trap '' XFSZ; exec {shlex.join(arguments)}"]
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    assert full.returncode == 1, full.stderr
    assert "is full" in full.stderr
    house.arena("daemon", small_config, "--out", tmp_path / "full", "--seconds", "1").ok()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(small_config.read_text().replace("seed =", "sed ="))
    assert house.arena("daemon", wrong, "--out", tmp_path / "wrong").code == 2


def test_the_signers_unit_starts_a_command_that_is_there() -> None:
    command = unit("arena-signer.service")["Service"]["ExecStart"].split()
    assert command[1:] == ["keys", "serve", "/etc/arena/signer/signer.toml"]
    context = arena.make_context("arena", command[1:], resilient_parsing=True)
    keys = arena.get_command(context, "keys")
    assert keys is not None
    assert "serve" in keys.list_commands(context)  # type: ignore[attr-defined]


def test_the_daemon_cannot_see_the_signers_folder_and_reaches_its_socket() -> None:
    daemon, signer = unit("arena.service")["Service"], unit("arena-signer.service")["Service"]
    assert daemon["User"] == signer["User"]  # the signer answers its own user only
    hidden = daemon["InaccessiblePaths"].removeprefix("-")
    assert signer["ExecStart"].split()[-1].startswith(hidden + "/")
    assert daemon["ReadWritePaths"].removeprefix("-") == f"/var/lib/{signer['StateDirectory']}"
    page = (DEPLOY.parents[1] / "docs" / "how-to" / "deploy.md").read_text()
    assert f'socket = "/var/lib/{signer["StateDirectory"]}/' in page
    assert 'stop_file = "/var/lib/arena/run/arena.db.stop"' in page


def test_compose_mounts_what_the_command_reads() -> None:
    services, found = compose()["services"], compose()
    mounts = [volume.split(":") for volume in services["arena"]["volumes"]]
    assert {place[1] for place in mounts} == {ETC, "/var/lib/arena"}
    assert (DEPLOY / mounts[0][0]).resolve() == DEPLOY.parent / "daemon.toml"
    assert services["arena"]["secrets"] == ["database_url"]
    assert set(found["secrets"]) == {"database_url", "postgres_password"}
    for secret in found["secrets"].values():  # a reference; what it holds is never part of the repository
        assert re.fullmatch(r"secrets/\w+", secret["file"])
        assert not (DEPLOY / secret["file"]).exists()
    assert (DEPLOY / services["arena"]["build"]["context"]).resolve() == DEPLOY.parents[1]
