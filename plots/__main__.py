"""``python -m plots``."""

import sys

#: Modules of the optional packages that drawing needs.
EXTRA = frozenset(
    {"altair", "jinja2", "markupsafe", "matplotlib", "pydantic", "scipy", "vl_convert"}
)

if __name__ == "__main__":
    try:
        from plots.cli import main
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(f"error: {error.name} is not installed: pip install 'sparring[plots]'")
    sys.exit(main())
