"""The real GRUB, asked which kernel and initrds it would start: Debian's grub-emu.

It has no loaders, so `linux`, `initrd` and `chainloader` are functions here, that say what they
were called with; and as nothing boots by itself then, each entry ends in `oracle_boot`.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

GRUB_EMU = "grub-emu"
BOOT = "oracle_boot"
PATIENCE_SECONDS = 60
# In the order of what GRUB's own loaders do: an error unloads what was loaded before. Blanks are
# said as @_, because GRUB breaks a line at a blank, and drops it.
PRELUDE = f"""function oracle_linux {{
  unset oracle_kind
  if [ -f "$1" ]; then
    oracle_file="$1"
    oracle_root="$root"
    oracle_kind=linux
    set oracle_count=0
    unset oracle_initrds
    return 0
  fi
  return 5
}}
function oracle_say {{
  oracle_text="$1"
  while regexp -s 1:oracle_head -s 2:oracle_tail '^([^ ]*) (.*)' "$oracle_text"; do
    oracle_text="${{oracle_head}}@_${{oracle_tail}}"
  done
  echo "@arg<$oracle_text>@."
}}
function linux {{
  oracle_linux "$1"
  if [ "$?" != 0 ]; then return 5; fi
  echo "@linux ($root) $1@."
  shift
  for oracle_arg in "$@"; do oracle_say "$oracle_arg"; done
  return 0
}}
function linux16 {{ linux "$@"; }}
function linuxefi {{ linux "$@"; }}
function initrd {{
  if [ "$oracle_kind" != linux -o "$#" = 0 ]; then return 18; fi
  echo "@initrds@."
  for oracle_arg in "$@"; do
    if [ -f "$oracle_arg" ]; then
      echo "@initrd ($root) $oracle_arg@."
    else
      echo "@missing $oracle_arg@."
      return 5
    fi
  done
  return 0
}}
function initrd16 {{ initrd "$@"; }}
function initrdefi {{ initrd "$@"; }}
function chainloader {{
  unset oracle_kind
  if [ -f "$1" ]; then
    oracle_kind=chain
    echo "@chain ($root) $1@."
    return 0
  fi
  return 5
}}
function {BOOT} {{
  if [ -n "$oracle_kind" ]; then echo "@boot"; exit; fi
}}
set timeout=0
export timeout
"""
_FAILED = ("Failed to boot both default and fallback entries", "grub> ", "GNU GRUB  version")
_SAID = re.compile(r"@(linux|chain|arg|initrds|initrd|missing) ?(.*?)@\.")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Started(NamedTuple):
    """What GRUB would start: paths with their device in front, and arguments as they are."""

    linux: str = ""
    args: tuple[str, ...] = ()
    initrds: tuple[str, ...] = ()
    missing: bool = False
    chainloader: str = ""


def asked(folder: Path, device_map: Path) -> Started | None:
    """What GRUB comes to by `folder`/grub.cfg; None where nothing is started."""
    output = _output(folder, device_map)
    if "@boot" not in output:
        return None
    return _started(output.partition("@boot")[0])


def _output(folder: Path, device_map: Path) -> str:
    command = [GRUB_EMU, "-d", str(folder), "-m", str(device_map)]
    keys, writer = os.pipe()
    os.set_blocking(writer, False)
    os.write(writer, b"\n" * 4096)  # each message of an error waits for a key
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=keys, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    os.close(keys)
    text = ""
    try:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), 1 << 16):
            text += data.decode("utf-8", "replace")
            if "@boot" in text or any(sign in text for sign in _FAILED):
                break
    finally:
        process.kill()
        process.wait()
        os.close(writer)
        if process.stdout:
            process.stdout.close()
    return _ESCAPE.sub("", text)


def _started(output: str) -> Started:
    """The last that was loaded before `boot`. A terminal breaks lines where it likes."""
    started = Started()
    for kind, rest in _SAID.findall(output.replace("\n", "")):
        match kind:
            case "linux":
                started = Started(linux=_file(rest))
            case "chain":
                started = Started(chainloader=_file(rest))
            case "arg":
                started = started._replace(args=(*started.args, rest[1:-1].replace("@_", " ")))
            case "initrds":
                started = started._replace(initrds=(), missing=False)
            case "initrd":
                started = started._replace(initrds=(*started.initrds, _file(rest)))
            case "missing":
                started = started._replace(initrds=(), missing=True)
    return started


def _file(text: str) -> str:
    """`(root) name` as one name with its device."""
    root, _, name = text.partition(" ")
    return name if name.startswith("(") else root + name
