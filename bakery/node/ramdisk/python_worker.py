"""Compiles the agent, and of the standard library what it imports, with the Python it will run on.

A program of its own, run by the system's Python (bakery itself may run on another one):
`python3 -sSP python_worker.py FOLDER OUT_FOLDER`, where FOLDER holds the package `agent`. It
writes the compiled modules below OUT_FOLDER, as they will lie below the ramdisk's root, and
prints as JSON `{"interpreter": path, "extensions": [path…]}`, the latter being the imported
modules that are shared objects.
"""

import sys

PACKAGE = "agent"
CODECS = ("ascii", "latin_1", "utf_8")


def main() -> None:
    """Do it."""
    folder, out = sys.argv[1:]
    modules = _import_agent(folder)
    # Only now what this program itself needs: the ramdisk gets what was loaded before.
    import json
    import os

    library = os.path.dirname(os.__file__)
    for path in modules:
        if path.endswith(".py"):
            own = os.path.relpath(path, folder) if path.startswith(f"{folder}/") else ""
            _compile(path, os.path.join(library, own) if own else path, out)
    extensions = [path for path in modules if not path.endswith(".py")]
    print(json.dumps({"interpreter": os.path.realpath(sys.executable), "extensions": extensions}))


def _import_agent(folder: str) -> list[str]:
    """Import every module of the agent; the files of all modules that are loaded then."""
    import os
    from importlib import import_module

    sys.path.append(folder)  # behind the standard library: nothing else in there is wanted
    for file in sorted(os.listdir(os.path.join(folder, PACKAGE))):
        if file.endswith(".py") and file != "__init__.py":
            import_module(f"{PACKAGE}.{file[:-3]}")
    for codec in CODECS:
        import_module(f"encodings.{codec}")
    loaded = [module for name, module in sys.modules.items() if name != "__main__"]
    files = (getattr(module, "__file__", None) for module in loaded)
    return sorted({file for file in files if file})


def _compile(source: str, name: str, out: str) -> None:
    """Compile a module as if it were the file `name`; nothing of the source's time goes in."""
    import os
    import py_compile

    compiled = os.path.join(out, name.lstrip("/") + "c")
    os.makedirs(os.path.dirname(compiled), exist_ok=True)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, compiled, name, doraise=True, invalidation_mode=mode)


if __name__ == "__main__":
    main()
