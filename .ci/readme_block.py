"""Print the block marked ``<!-- NAME -->`` in README.md: ``python .ci/readme_block.py test``."""

import re
import sys
from pathlib import Path


def readme_block(name: str) -> str:
    """The text of a marked block, exactly as a reader copies it."""
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {re.escape(name)} -->\n```[a-z]*\n(.*?)```", readme, re.DOTALL)
    if found is None:
        raise SystemExit(f"README.md has no block marked <!-- {name} -->")
    return found.group(1)


if __name__ == "__main__":
    print(readme_block(sys.argv[1]), end="")
