"""Run a whole comparison of two small servers and print what it wrote: `python compare_small_servers.py WORK`.

A process of its own, because a comparison pins itself to a CPU and adopts orphans.
"""

import sys
from dataclasses import replace
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.harness import chart, compare, machine, peers, report  # noqa: E402

SERVER = [sys.executable, str(Path(__file__).with_name("small_server.py")), "{port}"]
ROWS = [{"row": {"a": 2.5, "b": number, "c": 1.0}, "answer": 2.5 * number + 1} for number in range(1, 5)]


def main() -> None:
    """Compare the control with a right one, one that answers wrongly at once, and one that cannot be installed."""
    control = replace(peers.read(peers.CONTROL), command=SERVER)
    right = replace(peers.read("fastapi-sync"), command=SERVER)
    wrong = replace(peers.read("mlserver"), command=[*SERVER, "status"], prepare=[], protocol="row")
    missing = peers.read("litserve")
    known = {peers.CONTROL: control}
    compare.read = report.read = lambda name: known.get(name) or peers.read(name)
    compare.train = lambda *_: {"arithmetic": ROWS}
    compare.venvs.ensure = install
    plan = compare.Plan(
        [right, wrong, missing], ["arithmetic"], [1, 8], 2, 0.2, 0.05, True, Path(sys.argv[1])
    )
    results = compare.Comparison(plan).run()
    print(report.render(plan, results, machine.describe(), "benchmarks/run"))
    print(chart.draw(plan, results))


def install(name: str, *_: object) -> Path:
    """Give every server this interpreter, but for one."""
    if name == "litserve":
        raise compare.venvs.InstallError("cannot be installed: there is no such thing")
    return Path(sys.executable).parent


if __name__ == "__main__":
    main()
