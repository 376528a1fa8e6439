"""A BMC's password out of the environment, a file or a command, put where a nodes file wants it.

In `driver_info` a text that is `${NAME}` and nothing else is the environment's NAME;
`password_file` names a file that nobody else can read, `password_command` a program and its
words, run without a shell, whose first line of output it is. No message repeats what was read, or
what a command said.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from bakery.host import folders, secret_file
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.pool import Pool
from bakery.host.run import CommandFailed, run
from bakery.openstack.ironic.problems import Problems, Spot
from bakery.openstack.ironic.records import Node, PasswordSource

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
FILE, COMMAND = "password_file", "password_command"
KEYS = {
    "ipmi": "ipmi_password",
    "redfish": "redfish_password",
    "idrac": "redfish_password",
    "ilo": "ilo_password",
    "irmc": "irmc_password",
    "xclarity": "xclarity_password",
}
"""What a password is called, by driver (Ironic's drivers, `COMMON_PROPERTIES`)."""
COMMAND_SECONDS = 30.0
COMMANDS_AT_ONCE = 8
OUTPUT_LIMIT_BYTES = 64 << 10
WORDS_LIMIT = 64


def taken(spot: Spot, driver: object, details: dict[str, object]) -> PasswordSource | None:
    """Take `password_file` or `password_command` out of `details`, a node's driver_info.

    What is wrong with them is said; None where there is neither, or something is.
    """
    file, command = details.pop(FILE, None), details.pop(COMMAND, None)
    if file is None and command is None:
        return None
    here = spot.at(COMMAND if file is None else FILE)
    key = KEYS.get(str(driver), "")
    if file is not None and command is not None:
        here.wrong(f"stands beside {COMMAND}: leave one of them out")
    elif not key:
        known = ", ".join(KEYS)
        here.wrong(f"bakery knows what a password is called for {known} alone; use ${{NAME}}")
    elif key in details:
        here.wrong(f"stands beside {key}: leave one of them out")
    elif file is not None:
        if isinstance(file, str) and file and file.isprintable():
            return PasswordSource(key, file=file)
        here.wrong("must be the name of a file")
    elif words := _words(command):
        return PasswordSource(key, command=words)
    else:
        here.wrong("must be a list of words, the program first")
    return None


def variables(spot: Spot, details: Mapping[str, object]) -> None:
    """Say where a text looks like a variable and is none."""
    for key, value in details.items():
        text = value if isinstance(value, str) else ""
        if text.startswith("${") and text.endswith("}") and not VARIABLE.fullmatch(text):
            spot.at(key).wrong("is no ${NAME}: a name has letters, digits and _")


def is_variable(value: object) -> bool:
    """Whether it stands for a value of the environment."""
    return isinstance(value, str) and VARIABLE.fullmatch(value) is not None


def is_literal(node: Node) -> bool:
    """Whether a password stands in the file itself."""
    value = node.mappings.get("driver_info", {}).get(KEYS.get(node.driver, ""))
    return isinstance(value, str) and not is_variable(value)


def filled(problems: Problems, nodes: Sequence[Node], file: Path) -> list[Node]:
    """The nodes with what stood elsewhere; where that cannot be had, it is said and left out.

    Names in the file are relative to its folder. Equal commands are run once.
    """
    found = []
    with Pool(COMMANDS_AT_ONCE) as pool:
        commands: dict[tuple[str, ...], Future[str]] = {}
        for node in nodes:
            words = node.password.command if node.password else ()
            if words and words not in commands:
                commands[words] = pool.submit(_of_command, words, file)
        for node in nodes:
            details = _from_environment(problems, node)
            if node.password:
                details |= _read(problems, node, node.password, commands, file)
            more = {"driver_info": details} if details else {}
            found.append(msgspec.structs.replace(node, mappings=node.mappings | more))
    return found


def _from_environment(problems: Problems, node: Node) -> dict[str, object]:
    details: dict[str, object] = {}
    for key, value in node.mappings.get("driver_info", {}).items():
        match = VARIABLE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            details[key] = value
        elif not (text := os.environ.get(match[1], "")) or not text.isprintable():
            spot = Spot(problems, node.label).at("driver_info").at(key)
            state = "holds an unprintable character" if text else "is not set, or empty"
            spot.wrong(f"the environment's {match[1]} {state}")
        else:
            details[key] = text
    return details


def _read(
    problems: Problems,
    node: Node,
    source: PasswordSource,
    commands: Mapping[tuple[str, ...], Future[str]],
    file: Path,
) -> dict[str, object]:
    try:
        if source.command:
            text = commands[source.command].result()
        else:
            path = file.absolute().parent / Path(source.file).expanduser()
            folders.check(path)
            text = secret_file.first_line(path)
        if not text or not text.isprintable():
            raise BakeryError("what it gives is empty, or holds an unprintable character")
    except (BakeryError, RuntimeError) as error:
        spot = Spot(problems, node.label).at("driver_info")
        hint = getattr(error, "hint", "")
        spot.at(COMMAND if source.command else FILE).wrong(
            f"{error}" + (f" ({hint})" if hint else "")
        )
        return {}
    return {source.key: text}


def _of_command(words: tuple[str, ...], file: Path) -> str:
    """The first line that it prints; it runs in the file's folder, as whoever runs bakery."""
    folders.check(file)  # whoever can change it would have his words run
    mode = file.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o022:
        raise BakeryError(
            f"other users can change {file}, which names what is run", f"chmod go-w {file}"
        )
    try:
        done = run(
            words,
            cwd=file.absolute().parent,
            env=os.environ,
            timeout=COMMAND_SECONDS,
            output_limit=OUTPUT_LIMIT_BYTES,
            check=False,
        )
    except MissingTool as missing:
        raise BakeryError(f"there is no program {missing.program!r}") from None
    except CommandFailed:
        raise BakeryError(
            f"it did not end within {COMMAND_SECONDS:g} s, or printed more than "
            f"{OUTPUT_LIMIT_BYTES >> 10} KiB"
        ) from None
    if done.returncode:
        raise BakeryError(f"it failed (exit code {done.returncode}); run it by hand to see why")
    line = done.stdout.partition(b"\n")[0].rstrip(b"\r")
    try:
        return line[: secret_file.LIMIT_BYTES].decode()
    except UnicodeDecodeError:
        raise BakeryError("what it prints is not UTF-8") from None


def _words(value: object) -> tuple[str, ...]:
    """The words of a command; none where it is no such list."""
    words = value if isinstance(value, list) and len(value) <= WORDS_LIMIT else []
    fine = all(isinstance(word, str) and "\0" not in word for word in words)
    return tuple(words) if fine and words and words[0] else ()
