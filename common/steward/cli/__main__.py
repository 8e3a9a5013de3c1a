"""Entry of `linkerd-steward`.

Linkerd runs every extension on the PATH at each check, only to ask for its name: that has to be quick.
"""

import sys

METADATA = '{"name":"linkerd-steward","checks":"always"}\n'


def main() -> None:
    """Run the command line; `_extension-metadata` is answered before anything else is imported."""
    if sys.argv[1:2] == ["_extension-metadata"]:
        sys.stdout.write(METADATA)
        return
    from steward.cli.app import run  # the whole tree of commands takes a hundred times as long as the answer above

    run()


if __name__ == "__main__":
    main()
