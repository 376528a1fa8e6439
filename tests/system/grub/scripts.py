"""GRUB's scripts by chance: configurations that use all of the language that is claimed."""

import random
from collections.abc import Callable

KERNELS = ("/vmlinuz-1", "/vmlinuz-2", "/boot/vmlinuz-3", "(hd0,msdos2)/vmlinuz-4")
INITRDS = ("/initrd-1", "/initrd-2", "/boot/initrd-3", "(hd0,msdos2)/initrd-4")
MISSING = ("/nope", "(hd9,msdos1)/vmlinuz-1", "/boot")
VARIABLES = ("a", "b", "c", "name", "v1", "root", "saved_entry", "long_name_2")
TITLES = ("One", "Two words", "It's", "2nd", "tre>s", "Vier", "0x1", "sub menu", "a|b")
IDS = ("one", "id-2", "3", "gnulinux-x-advanced", "a>b", "")
LITERALS = (
    "x",
    "ro",
    "quiet",
    "console=ttyS0,115200",
    "root=UUID=1-2",
    "a.b",
    "7",
    "12",
    "-3",
    "x=y",
)
NUMBERS = ("7", "8", "12", "-3", "0x10", "010", "16", "z")
NUMBER_SIGNS = ("-eq", "-ne", "-lt", "-le", "-gt", "-ge")
TEXT_SIGNS = ("=", "==", "!=", '"<"', '">="')
BOOT_LINE = "oracle_boot\n"
"""Stands at the end of each entry, for the oracle: see there."""


class Script:
    """A configuration, by a seed; `files` are those that lie beside its grub.cfg."""

    def __init__(self, seed: int, folder: str) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.files: dict[str, str] = {}
        self.functions: list[str] = []
        self.depth = 0
        self.in_function = False
        self.may_return = False
        self.menu_depth = 0
        self.entries = 0
        self.text = self._whole()

    def _whole(self) -> str:
        self._environment()
        body = self._many(self._statement, 3, 9)
        body += self._many(self._menu_statement, 2, 6)
        body += self._default()
        body += self._menu_statement() if self._chance(0.3) else ""
        return body

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _many(self, make: Callable[[], str], least: int, most: int) -> str:
        return "".join(make() for _ in range(self.random.randint(least, most)))

    def _pick(self, *values: str) -> str:
        return self.random.choice(values)

    def _environment(self) -> None:
        lines = ["# GRUB Environment Block"]
        for name in self.random.sample(("saved_entry", "next_entry", "kernelopts", "b"), 3):
            value = self._pick(
                "1", "0>1", "id-2", "root=UUID=5 ro", "One", "x\\\\y", "Two words", ""
            )
            lines.append(f"{name}={value}")
        self.files["grubenv"] = ("\n".join(lines) + "\n").ljust(1024, "#")

    # Words

    def _word(self) -> str:
        return "".join(self._piece() for _ in range(self.random.choice((1, 1, 1, 2, 3))))

    def _piece(self) -> str:
        name = self._pick(*VARIABLES)
        literal = self._pick(*LITERALS)
        return self._pick(
            literal,
            literal,
            f"${{{name}}}",
            f'"${name}"',
            f'"{literal} ${{{name}}}"',
            f"'{literal} $x'",
            '""',
            f'"{literal}\\\\{literal}"',
            f'"\\"{literal}\\$"',
            f"\\{literal}",
            f"{literal}\\ {literal}",
            f"'a  b'{literal}",
            f"${name}" if self._chance(0.5) else f"${{{name}}}_",
            '"$?"',
            *(("$1", '"$@"', "$#", '"$*"', "$2", "$*") if self.in_function else ()),
            f'$"{literal} ${name}"',
            f"{literal}\\\n{literal}",
        )

    def _words(self, least: int = 0, most: int = 4) -> str:
        return "".join(" " + self._word() for _ in range(self.random.randint(least, most)))

    def _path(self, paths: tuple[str, ...]) -> str:
        path = self._pick(*paths)
        if self._chance(0.04):
            path = self._pick(*MISSING)
        if self._chance(0.1) and not path.startswith("("):
            path = f"($root){path}"
        if self._chance(0.1):
            return f'"{path}"'
        return path

    # Conditions

    def _condition(self) -> str:
        if self._chance(0.15):
            return self._pick("true", "false", "! true", "! false", "no_such_command", "$unset_one")
        if self._chance(0.1):
            return f"regexp --set=1:v1 {self._pattern()} {self._word()}"
        if self._chance(0.1):
            return self._search()
        return f"{self._pick('[', 'test')} {self._test()} {']'}"

    def _test(self) -> str:
        tests = [self._one_test()]
        while self._chance(0.3) and len(tests) < 4:
            tests += [self._pick("-a", "-o"), self._one_test()]
        return " ".join(tests)

    def _one_test(self) -> str:
        self.depth += 1
        name = self._pick(*VARIABLES)
        path = self._pick(
            *KERNELS, *INITRDS, *MISSING, "vmlinuz-1", "/", "/boot/", "(hd0,msdos2)", "/empty", ""
        )
        literal = self._pick(*LITERALS)
        number, other = self._pick(*NUMBERS), self._pick(*NUMBERS)
        first, second = self._pick("2", "9", "11"), self._pick("2", "10", "3")
        choices = [
            f'"${name}" {self._pick(*TEXT_SIGNS)} "{literal}"',
            f"x${name} = x{literal}",
            f'{self._pick("-n", "-z")} "${name}"',
            f'{self._pick("-f", "-d", "-e", "-s")} "{path}"',
            f'"{number}" {self._pick(*NUMBER_SIGNS)} "{other}"',
            f"vmlinuz-{first} {self._pick('-pgt', '-plt')} vmlinuz-{second}",
            f'"${name}"',
            f"! {self._pick('-f /nope', '-n x', '-z x')}",
        ]
        if self.depth < 4:
            choices.append(f"'(' {self._test()} ')'")
        self.depth -= 1
        return self.random.choice(choices)

    def _pattern(self) -> str:
        return self._pick(
            "'^([a-z]*)'",
            "'([0-9]+)'",
            "'x|ro'",
            "'(.*)=(.*)'",
            "'^$'",
            "'[^ ]+ (.)'",
            "'(a|x=)y?'",
        )

    def _search(self) -> str:
        what = self._pick(
            "--fs-uuid 11111111-2222-3333-4444-555555555501",
            "--fs-uuid 11111111-2222-3333-4444-555555555502",
            "--fs-uuid AAAA-BBBB",
            "--label SECOND",
            "--label second",
            "--file /vmlinuz-4",
            "--file /only-first",
            "-f /nope",
        )
        variable = self._pick("--set=root", "--set=a", "--set root", "--set=root --no-floppy")
        hint = self._pick("", "", "--hint hd0,msdos2", "--hint-efi=hd9,gpt1", "--hint='hd0,msdos1'")
        return f"search {variable} {hint} {what}"

    # Statements

    def _statement(self) -> str:
        self.depth += 1
        makers = [self._set] * 5 + [self._if] * 3 + [self._small] * 3
        if self.depth < 3:
            makers += [self._for, self._while, self._call, self._load, self._if]
            makers += [self._function] if self.depth == 1 and not self.in_function else []
            makers += [self._source] if not self.in_function and len(self.files) < 5 else []
        made = self.random.choice(makers)()
        self.depth -= 1
        return made

    def _end(self) -> str:
        return self._pick("\n", "\n", "\n", " # it's a comment\n", "\n\n", "\n#'\n", ";\n", "  \n")

    def _set(self) -> str:
        name = self._pick(*(n for n in VARIABLES if n != "root"))
        value = self._word()
        return f"{self._pick('set ', 'set ', '')}{name}={value}" + self._end()

    def _small(self) -> str:
        name = self._pick(*VARIABLES)
        return (
            self._pick(
                f"unset {name}" if name != "root" else "true",
                f"export {name}",
                "insmod_nothing ext2",
                "no_such_command",
                f"echo {self._word()}",
                self._search(),
                f"regexp -s v1 {self._pattern()} {self._word()}",
                f"eval 'set {self._pick('a', 'b')}='{self._pick(*LITERALS)}",
                "set root=hd0,msdos1",
                "set root='(hd0,msdos2)'",
                f"set a=$?; set b={self._word()}",
                "true; false",
                "! false",
                self._wrong() if self.depth < 2 and not self.in_function else "true",
                *(("shift", f"setparams x{self._words()}") if self.in_function else ()),
                *(("return 1", "return", "return 0") if self.may_return else ()),
            )
            + "\n"
        )

    def _wrong(self) -> str:
        if self._chance(0.6):
            return "true"
        return self._pick(
            "set a=b && true",
            "set a=1; }",
            "echo $ x",
            "if true; fi",
            "menuentry x { }",
            "a | b",
            "; true",
            "set a=(b) <",
            'echo "$ "',
            "echo ${a",
            "then",
            "[[ a ]]",
            "case a in",
        )

    def _if(self) -> str:
        self.depth += 1
        text = f"if {self._condition()}; then{self._pick(' ', chr(10))}{self._body()}"
        while self._chance(0.3):
            text += f"elif {self._condition()}\nthen\n{self._body()}"
        if self._chance(0.5):
            text += f"else\n{self._body()}"
        self.depth -= 1
        return text + "fi" + self._end()

    def _body(self) -> str:
        make = (
            self._menu_statement
            if self._chance(0.1) and self.depth < 3 and not self.in_function
            else self._inner
        )
        return self._many(make, 1, 2)

    def _inner(self) -> str:
        if self.depth >= 4:
            return self._set()
        return self._statement()

    def _for(self) -> str:
        variable = self._pick("i", "a", "name")
        words = self._pick(
            self._words(1, 3),
            " $a x",
            ' "$b" y',
            " /boot/*",
            " /vmlinuz-?",
            " (hd0,msdos2)/v*4",
            " /no*",
            ' "/boot/*"',
            " /b*/vm*",
        )
        body = f"set c=$c$i{self._pick('', ' ', ',')}\n" if self._chance(0.5) else self._inner()
        if self._chance(0.3):
            way_out = self._pick("break", "continue", "break 2", "continue 2")
            body += f'if [ "${variable}" = x ]; then {way_out}; fi\n'
            body += self._set()
        return f"for {variable} in{words}; do\n{body}done" + self._end()

    def _while(self) -> str:
        self.depth += 1
        kind, sign = self._pick("while !=", "until =").split()
        body = "set n=x$n\n" + self._inner()
        if self._chance(0.3):
            body += (
                f"if {self._condition()}; then {self._pick('break', 'continue', 'break 3')}; fi\n"
            )
        self.depth -= 1
        return f'set n=\n{kind} [ "$n" {sign} xxx ]; do {body}done\n'

    def _function(self) -> str:
        name = self._pick("f", "g", "load_video", "savedefault")
        self.in_function = self.may_return = True
        body = self._many(self._inner, 1, 3)
        self.in_function = self.may_return = False
        self.functions.append(name)
        return f"function {name} {{\n{body}}}\n"

    def _call(self) -> str:
        if not self.functions or self.in_function:
            return self._set()
        return (
            f"{self._pick('', '', '! ')}{self._pick(*self.functions)}{self._words()}" + self._end()
        )

    def _load(self) -> str:
        return (
            "load_env"
            + self._pick(
                "",
                "",
                f" -f {self.folder}/grubenv",
                " b",
                " -f /nope",
                " kernelopts b",
                " --file=$prefix/grubenv",
            )
            + "\n"
        )

    def _source(self) -> str:
        name = f"part{len(self.files)}.cfg"
        self.files[name] = ""
        self.files[name] = self._many(self._statement, 1, 3) + self._menu_statement()
        command = self._pick("source", ".", "source", "extract_entries_source")
        if self._chance(0.1):
            command = "configfile"
            self.files[name] += self._default()
        return f"{command} {self._pick('$prefix', self.folder, '$config_directory')}/{name}\n"

    # Menus

    def _menu_statement(self) -> str:
        if self._chance(0.12) and self.menu_depth < 2:
            return self._submenu()
        if self._chance(0.08):
            return self._if()
        if self._chance(0.06):
            return f"for i in 1 2; do {self._entry()}done\n"
        return self._entry()

    def _options(self) -> str:
        options = self._pick(
            "",
            "",
            "--class os",
            "--class=a --class b",
            "--unrestricted",
            "--users x",
            "--hotkey=h",
            "$menuentry_id_option one",
            "--users y",
        )
        identity = self._pick(*IDS)
        form = self._pick(
            "",
            f"--id '{identity}'",
            f"--id={identity.replace('>', '_') or 'z'}",
            f'--id "{identity}"',
        )
        return f"{options} {form}"

    def _title(self) -> str:
        title = self._pick(*TITLES)
        return self._pick(
            f'"{title}"', f'"{title}"', f'"{title} $i"', f"'{title.replace(chr(39), '')}'"
        )

    def _entry(self) -> str:
        self.entries += 1
        was, self.in_function = self.in_function, True
        self.depth += 2
        body = self._many(self._statement, 0, 2)
        body += self._linux()
        if self._chance(0.8):
            more = " " + self._path(INITRDS) if self._chance(0.2) else ""
            name = self._pick("initrd", "initrd", "initrd16")
            body += f"{name} {self._path(INITRDS)}{more}\n"
        if self._chance(0.1):
            body = f"chainloader {self._path(KERNELS)}\n"
        if self._chance(0.15):
            other = f"linux {self._path(KERNELS)} panic=-1"
            body = f"if {self._condition()}; then\n{body}else\n{other}\nfi\n"
        self.depth -= 2
        self.in_function = was
        body += BOOT_LINE
        title, options = self._title(), self._options()
        head = f"{title} {options}" if self._chance(0.8) else f"{options} {title}"
        return f"menuentry {head} {{{self._pick(chr(10), ' ')}{body}}}\n"

    def _linux(self) -> str:
        name = self._pick("linux", "linux", "linux", "linux16", "linuxefi")
        last = self._pick("", " $c", " $kernelopts")
        return f"{name} {self._path(KERNELS)} e={self.entries}{self._words(0, 4)}{last}\n"

    def _submenu(self) -> str:
        self.menu_depth += 1
        inner = self._many(self._menu_statement, 1, 3)
        inner = (self._set() if self._chance(0.3) else "") + inner
        inner += self._default() if self._chance(0.2) else ""
        self.menu_depth -= 1
        return f"submenu {self._title()} {self._options()} {{\n{inner}}}\n"

    def _default(self) -> str:
        value = self._pick(
            "0",
            "1",
            "2",
            "1",
            "2",
            "3",
            "99",
            "one",
            "id-2",
            "Two words",
            "1>0",
            "2>1",
            "Vier>1",
            "sub menu>One",
            "tre>>s",
            "saved",
            "0x1",
            "01",
            " 1",
            "1 2",
            "-1",
            "2nd",
            "id-2>1>0",
            "0>2",
            "$b",
        )
        if value == "saved":
            return 'load_env\nset default="${saved_entry}"\n'
        text = f'set default="{value}"\n'
        if self._chance(0.04):
            text += f'set fallback="{self._pick("0", "1 2", "2", "1", "99 0", "0 x 1")}"\n'
        return text
