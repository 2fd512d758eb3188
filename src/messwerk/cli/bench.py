"""`messwerk bench`: every claim of speed, measured here, with its peers in the same run.

The measurements are programs of the source tree (`bench/`), one a claim, each with a function
`run(json)`; the installed package alone does not have them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

import typer

from ..errors import LocalError

app = typer.Typer()

FOLDER: Final = Path(__file__).parents[3] / "bench"


def claims() -> dict[str, Path]:
    """Name and program of each claim. Raises LocalError outside a source tree."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith("_")}
    if not found:
        raise LocalError("benchmarks come with the source tree: run this in a checkout, after `make test` or `make up`")
    return found


@app.command()
def bench(
    claim: Annotated[str, typer.Argument(help="Which claim to measure; `all` for every one.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Measure speed, with the peers in the same run. Ratios carry over to your machine, figures don't."""
    known = claims()
    if claim != "all" and claim not in known:
        raise LocalError(f"no claim is called {claim!r}; there are {', '.join(known)} and all")
    for name, path in known.items():
        if claim in ("all", name):
            _load(name, path).run(json=as_json)


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"messwerk_bench_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
