"""``python -m plots``."""

import sys

from harness.errors import absent

#: Modules of the optional packages that drawing needs.
EXTRA = frozenset(
    {"altair", "jinja2", "markupsafe", "matplotlib", "pydantic", "scipy", "vl_convert"}
)

if __name__ == "__main__":
    try:
        from plots.cli import main
    except ImportError as error:
        if (told := absent(error, EXTRA, "plots")) is None:
            raise
        sys.exit(f"error: {told}")
    sys.exit(main())
