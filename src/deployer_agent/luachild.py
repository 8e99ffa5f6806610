"""Runs one Lua script in this process under lupa, for hosts without a Lua of their own: `python -m … FILE ARGS…`."""

import sys
from typing import Any


def main(arguments: list[str]) -> int:
    """Run the file with its arguments; 1 when it fails, as Lua's own program says it."""
    import lupa  # noqa: PLC0415 (an extra, which only this child needs)

    runtime: Any = lupa.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    runtime.globals().arg = runtime.table_from(dict(enumerate(arguments)))
    runtime.globals().python = None
    try:
        runtime.execute("dofile(arg[0])")
    except lupa.LuaError as error:
        sys.stderr.write(f"lua: {error}\n")
        return 1
    finally:
        runtime.execute("io.stdout:flush()")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
