"""GRUB's scripts, run: grub-core/script/execute.c, within bounds."""

from collections.abc import Callable, Mapping

from bakery.host.errors import BakeryError
from bakery.system.grub import expand, status, wildcards
from bakery.system.grub.machine import Machine, value_of
from bakery.system.grub.parse import Command, For, Function, If, Line, Node, While, lines
from bakery.system.grub.source import Source, encoded, of_file
from bakery.system.grub.status import Failed
from bakery.system.grub.variables import Argument, Value
from bakery.system.grub.words import Word

DEPTH_LIMIT = 80
FILE_DEPTH_LIMIT = 12

Run = Callable[[Machine, "Call"], int]
"""A command: it changes the machine, and gives `$?` or raises Failed."""


class Call:
    """A command as it is called: its arguments, and the words they come from."""

    def __init__(
        self, node: Command, name: str, args: tuple[Argument, ...], commands: Mapping[str, Run]
    ) -> None:
        self.node = node
        self.name = name
        self.args = args
        self.commands = commands

    @property
    def texts(self) -> tuple[str, ...]:
        """The arguments' texts."""
        return tuple(arg.text for arg in self.args)


def run_file(machine: Machine, name: str, commands: Mapping[str, Run]) -> bool:
    """Runs a configuration file in the machine's context, as far as it can be read.

    False where there is none. What is wrong in it is passed over line by line, with a note.
    """
    file = machine.files.named(name)
    data = machine.shared.disk.read(file) if file else None
    if machine.items is None:
        machine.items = []
    if file is None or data is None:
        return False
    if machine.files_open >= FILE_DEPTH_LIMIT:
        raise BakeryError(f"GRUB's scripts source each other deeper than {FILE_DEPTH_LIMIT} files")
    machine.shared.configs[file] = None
    outer, known = machine.config, machine.variables
    old = {name: known.values.get(name) for name in ("config_file", "config_directory")}
    whole = encoded(str(file))
    known.put("config_file", whole)
    known.put("config_directory", whole.rpartition("/")[0])
    known.export("config_file")
    known.export("config_directory")
    machine.config, machine.files_open = file, machine.files_open + 1
    run_lines(machine, of_file(data, file), commands, stop_at_error=False)
    machine.config, machine.files_open = outer, machine.files_open - 1
    for variable, value in old.items():
        if value is None:
            known.unset(variable)
        else:
            known.set(variable, value)
    return True


def run_lines(
    machine: Machine, source: Source, commands: Mapping[str, Run], *, stop_at_error: bool
) -> int:
    """Runs a script line by line; gives the status of the last one that held a command."""
    result = status.NONE
    runner = _Runner(machine, commands)
    for line in lines(source):
        for function in line.functions:
            machine.define(function)
        if line.problem:
            machine.shared.note(line.problem)
            if stop_at_error:
                return status.INVALID_COMMAND
        elif any(not isinstance(node, Function) for node in line.nodes):
            result = _run_line(runner, line)
    return result


def _run_line(runner: "_Runner", line: Line) -> int:
    return runner.run_list(tuple(n for n in line.nodes if not isinstance(n, Function)))


class _Runner:
    def __init__(self, machine: Machine, commands: Mapping[str, Run]) -> None:
        self.machine = machine
        self.commands = commands

    def run_list(self, nodes: tuple[Node, ...]) -> int:
        """Runs commands one after the other, unless a loop or function is being left."""
        if not nodes:
            return status.NONE
        result = status.NONE
        self._deeper(1)
        for node in nodes:
            if self.machine.control.breaks:
                break
            result = self._run(node)
            self._set_result(result)
            if self.machine.control.returning:
                break
        self._deeper(-1)
        self._set_result(result)
        return result

    def _run(self, node: Node) -> int:
        match node:
            case Command():
                return self._run_command(node)
            case If():
                return self._run_if(node)
            case For():
                return self._run_for(node)
            case While():
                return self._run_while(node)
            case Function():
                return status.NONE

    def _run_if(self, node: If) -> int:
        result = self.run_list(node.condition)
        if self.machine.control.returning:
            return result
        holds = self.machine.variables.get("?") == "0"
        key = (id(node.start[0]), node.start[1])
        holds = self.machine.forced.get(key, holds)
        return self.run_list(node.then if holds else node.otherwise)

    def _run_for(self, node: For) -> int:
        control = self.machine.control
        control.loops += 1
        result = status.NONE
        for arg in self._arguments(node.words):
            self.machine.shared.count_command()
            if control.continues and control.breaks == 1:
                control.breaks = 0
            if not control.breaks:
                self.machine.variables.set(node.name, value_of(arg))
                result = self.run_list(node.body)
                if control.returning:
                    break
        control.breaks = max(0, control.breaks - 1)
        control.loops -= 1
        return result

    def _run_while(self, node: While) -> int:
        control = self.machine.control
        control.loops += 1
        while True:
            self.machine.shared.count_command()
            result = self.run_list(node.condition)
            if control.returning or bool(result) is not node.until:
                break
            result = self.run_list(node.body)
            if control.breaks == 1 and control.continues:
                control.breaks = 0
            if self.machine.is_leaving:
                break
        control.breaks = max(0, control.breaks - 1)
        control.loops -= 1
        return result

    def _run_command(self, node: Command) -> int:
        self.machine.shared.count_command()
        block = None if node.block is None else node.block.chars
        args = self._arguments(node.words, block)
        if not args:
            return status.NONE
        inverted = args[0].text == "!"
        args = args[1:] if inverted else args
        if not args:
            return status.BAD_ARGUMENT
        name = args[0].text
        if name not in self.commands and name not in self.machine.functions:
            self._assign(node, args[0])
            return status.NONE
        result = self._call(node, name, tuple(args[1:]))
        if inverted:
            result = status.TEST_FAILURE if result == status.NONE else status.NONE
        self._set_result(result)
        return result

    def _call(self, node: Command, name: str, args: tuple[Argument, ...]) -> int:
        command = self.commands.get(name)
        if command is None:
            return self._call_function(name, args)
        try:
            return command(self.machine, Call(node, name, args, self.commands))
        except Failed as failure:
            return failure.status

    def _call_function(self, name: str, args: tuple[Argument, ...]) -> int:
        machine, control = self.machine, self.machine.control
        loops, scope, executing = control.loops, machine.scope, machine.executing
        control.loops, machine.scope, machine.executing = 0, args, (*executing, name)
        self._deeper(1)
        result = self.run_list(machine.functions[name].body)
        self._deeper(-1)
        control.returning, control.loops = False, loops
        machine.scope, machine.executing = scope, executing
        return result

    def _assign(self, node: Command, arg: Argument) -> None:
        """`name=value` as a command; anything else GRUB takes for done as well."""
        name, equals, _ = arg.text.partition("=")
        if equals:
            assign(self.machine, node, arg)
        else:
            self.machine.note_unknown(name)

    def _arguments(self, words: tuple[Word, ...], block: str | None = None) -> list[Argument]:
        machine = self.machine
        found = expand.arguments(words, machine.variables, machine.scope, self._matching, block)
        machine.shared.count_text(sum(len(arg.text) for arg in found))
        return found

    def _matching(self, pattern: str) -> list[str] | None:
        if not self.machine.has_wildcards:
            return None
        files = self.machine.files

        def names(folder: str) -> tuple[str, ...] | None:
            self.machine.shared.count_pattern()
            return files.names(folder)

        return wildcards.matching(pattern, names, files.exists)

    def _set_result(self, result: int) -> None:
        self.machine.variables.put("?", str(result))

    def _deeper(self, by: int) -> None:
        self.machine.depth += by
        if self.machine.depth > DEPTH_LIMIT:
            raise BakeryError(f"GRUB's scripts call each other deeper than {DEPTH_LIMIT} levels")


def assign(machine: Machine, node: Command, arg: Argument) -> None:
    """Sets the variable of an argument `name=value`, with the place where the value is written."""
    name, _, text = arg.text.partition("=")
    place = None
    word = node.words[arg.word] if 0 <= arg.word < len(node.words) else None
    if word is not None and word.raw.startswith(f"{name}="):
        place = word.source.place(word.start + len(name) + 1, word.end)
    if name and not expand.is_special(name):
        machine.variables.set(name, Value(text, place, arg.fed_by))
