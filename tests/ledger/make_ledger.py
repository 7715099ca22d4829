"""Write the ledger anew: `PYTHONPATH=tests/ledger python tests/ledger/make_ledger.py [ROW ...]`.

Do so only where a number is meant to change, and say in the commit why; rows may be named.
"""

import json
import sys

from reference_maps import LEDGER, ROWS, TOLERANCES, measure


def main(names: list[str]) -> None:
    known = json.loads(LEDGER.read_text())["rows"] if names else {}
    rows = {name: measure(ROWS[name]) if name in (names or ROWS) else known[name] for name in ROWS}
    LEDGER.write_text(json.dumps({"tolerances": TOLERANCES, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
