"""Build every wheel, install the meta-distribution from them, and run the quickstart from another folder.

Usage: python .ci/wheels.py FOLDER. Installs into the environment it is run in; run it through `tox run -e wheels`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = ROOT / "examples" / "quickstart.toml"


def call(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; ends the program with its output when it fails."""
    print("$", *command, flush=True)
    done = subprocess.run([str(part) for part in command], cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{command[0]} ended with {done.returncode}")
    return done.stdout


def main(scratch: Path) -> None:
    house, elsewhere = scratch / "wheelhouse", scratch / "elsewhere"
    for folder in (house, elsewhere):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    paths = [line.removeprefix("-e ").split("[")[0] for line in requirements if line.startswith("-e ")]
    pip = (sys.executable, "-m", "pip")
    for path in (*paths, "."):
        call(Path(sys.executable).with_name("uv"), "build", "-q", "--wheel", "--out-dir", house, path, cwd=ROOT)
    wheels = sorted(house.glob("*.whl"))
    assert len(wheels) == len(paths) + 1, [wheel.name for wheel in wheels]

    # Ours from the wheelhouse and from nowhere else, then what they depend on.
    names = [wheel.name.split("-")[0].replace("_", "-") for wheel in wheels]
    only_ours = ("--no-index", "--no-deps", "--force-reinstall", "--find-links", house)
    call(*pip, "install", "-q", *only_ours, *names, cwd=elsewhere)
    call(*pip, "install", "-q", "--find-links", house, "treasury-arena[postgresql]", cwd=elsewhere)
    print(call(*pip, "check", cwd=elsewhere))

    where = call(sys.executable, "-c", "import treasury_arena; print(treasury_arena.__file__)", cwd=elsewhere)
    assert "site-packages" in where, f"the wheel was not used: {where}"
    arena = Path(sys.executable).with_name("arena")
    accepted = json.loads(call(arena, "plugins", "--json", cwd=elsewhere))["plugins"]
    plugins = [path for path in paths if "entry-points.treasury_arena]" in (ROOT / path / "pyproject.toml").read_text()]
    assert len(accepted) == len(plugins), [plugin["name"] for plugin in accepted]
    result = json.loads(call(arena, "run", QUICKSTART, "--out", "run", "--json", cwd=elsewhere))
    audit = json.loads(call(arena, "audit", "run", "--json", cwd=elsewhere))
    assert audit["ok"], audit
    assert audit["digest"] == result["digest"], audit
    # The local chain's package list and contracts are in the wheel.
    parity = json.loads(call(arena, "parity", "--protocol", "erc4626", "--operations", "30", "--json", cwd=elsewhere))
    assert parity["ok"], parity
    print(f"treasury-arena {version('treasury-arena')}: run {result['run_id']}, digest {result['digest']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
