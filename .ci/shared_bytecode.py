"""Let tox's environments share compiled modules where the modules' files are the same ones: shared_bytecode.py SITE PREFIX.

Compiling numpy, pandas and web3 for the first import took longer than the tests of most plugins, anew in every environment.
A compiled module is valid for a source of the same size and time; uv links the same file into every environment, so it is. Where
files were copied instead, every environment keeps what it compiled to itself.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(site: Path, prefix: Path) -> None:
    """Point the folder in which PYTHONPYCACHEPREFIX keeps the compiled modules of `site` to a common one."""
    own, common = prefix / site.relative_to(site.anchor), prefix / "shared"
    copied = any(package.stat().st_nlink == 1 for package in site.glob("*/__init__.py"))
    if copied or own.is_symlink() or own.exists():
        return
    for folder in (own.parent, common):
        folder.mkdir(parents=True, exist_ok=True)
    own.symlink_to(common, target_is_directory=True)


if __name__ == "__main__":
    main(*(Path(word).absolute() for word in sys.argv[1:]))
