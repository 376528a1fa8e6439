"""What is wrong with the meta-sections themselves."""

import difflib
from collections.abc import Iterator

from bakery.devstack import metaconf
from bakery.devstack.finding import Finding
from bakery.devstack.subject import Rule, Subject

# The variables of devstack's lib/ and of Ironic's plugin that hold a configuration file's path.
FILES = (
    *("IRONIC_CONF_FILE", "NOVA_CONF", "NOVA_CPU_CONF", "NEUTRON_CONF", "KEYSTONE_CONF"),
    *("GLANCE_API_CONF", "GLANCE_CACHE_CONF", "CINDER_CONF", "PLACEMENT_CONF", "TEMPEST_CONFIG"),
    *("NEUTRON_DHCP_CONF", "Q_DHCP_CONF_FILE", "NEUTRON_L3_CONF", "Q_L3_CONF_FILE"),
    *("Q_META_CONF_FILE", "OVN_META_CONF", "OVN_AGENT_CONF", "QEMU_CONF", "Q_PLUGIN_CONF_FILE"),
    *("NOVA_COND_CONF", "NOVA_FAKE_CONF", "GLANCE_IMAGE_IMPORT_CONF", "GLANCE_SWIFT_STORE_CONF"),
)


def headers(subject: Subject) -> Iterator[Finding]:
    """Headers that devstack does not take for one, and phases it never asks for."""
    for section in subject.document.sections:
        line = section.header.number
        if len(section.header.text.split()) > 1 and not section.file:
            yield Finding.error(
                *("header-blank", line, "a blank in the header hides what follows it"),
                "write [[PHASE|FILE]] without blanks",
            )
        elif section.phase not in metaconf.PHASES:
            near = difflib.get_close_matches(section.phase, metaconf.PHASES, 1)
            yield Finding.error(
                *("phase", line, f"devstack has no phase {section.phase!r}"),
                f"did you mean {near[0]}?" if near else f"it has {', '.join(metaconf.PHASES)}",
            )
    lines = [*subject.document.before, *(x for s in subject.document.sections for x in s.lines)]
    for one in lines:
        if metaconf.looks_like_header(one.text):
            yield Finding.error(
                *("header", one.number, "devstack does not recognise this header"),
                "write [[PHASE|FILE]] at the start of the line",
            )


def line_ends(subject: Subject) -> Iterator[Finding]:
    """Line ends of DOS: awk takes them for a part of the header, bash for a part of the value."""
    sections = subject.document.sections
    lines = [*subject.document.before, *(x for s in sections for x in (s.header, *s.lines))]
    ended = sorted(line.number for line in lines if line.text.endswith("\r"))
    if ended:
        yield Finding.error(
            *("line-ends", ended[0]),
            "lines end with a carriage return, which devstack takes for a part of them",
            "write the file with Unix line ends: sed -i 's/\\r$//' FILE",
        )


def outside(subject: Subject) -> Iterator[Finding]:
    """Lines before the first header."""
    for line in subject.document.before:
        text = line.text.strip()
        if text and not text.startswith("#") and not metaconf.looks_like_header(line.text):
            yield Finding.error(
                *("outside", line.number, "lines before the first header are not read"),
                "put [[local|localrc]] above it",
            )
            return


def local_sections(subject: Subject) -> Iterator[Finding]:
    """The localrc section: there, named so, and not put aside by a file."""
    found = subject.document.of("local", "localrc")
    for section in subject.document.sections:
        if section.phase == "local" and section.file != "localrc":
            yield Finding.error(
                *("local-file", section.header.number),
                f"in phase local devstack only reads localrc, not {section.file!r}",
                "write [[local|localrc]]",
            )
    if not found:
        yield Finding.error(
            "no-localrc", 0, "there is no [[local|localrc]], so nothing is set", "add one"
        )
    elif "localrc" in subject.beside and found[0].header.number:
        yield Finding.error(
            *("localrc-beside", found[0].header.number),
            "devstack reads the file localrc next to this one instead of this section",
            "move it away",
        )


def files(subject: Subject) -> Iterator[Finding]:
    """The configuration files that sections are to be merged into."""
    for section in subject.document.sections:
        if section.phase in metaconf.MERGED_PHASES:
            yield from _file(section, subject)


def options(subject: Subject) -> Iterator[Finding]:
    """Lines of merged sections that do not end up as an option."""
    for section in subject.document.sections:
        if section.phase not in metaconf.MERGED_PHASES:
            continue
        for option in metaconf.options(section):
            if not option.name:
                yield Finding.error("no-equals", option.line, "this line has no NAME = VALUE")
            elif not option.section:
                yield Finding.error(
                    *("no-section", option.line, "no [section] stands above this option"),
                    "devstack would write it to a section of the option's name",
                )
        for line in section.lines:
            if line.text[:1] in (" ", "\t") and "=" in line.text and "#" not in line.text:
                yield Finding.error(
                    *("indented", line.number),
                    "devstack skips lines that start with a blank",
                    "remove the indentation",
                )


def _file(section: metaconf.Section, subject: Subject) -> Iterator[Finding]:
    line, file = section.header.number, section.file
    name = file.lstrip("/").removeprefix("$").strip("{}").partition("/")[0]
    if not file:
        if len(section.header.text.split()) == 1:
            yield Finding.error(
                *("no-file", line, f"[[{section.phase}|…]] names no file to change"),
                "for Ironic: [[post-config|$IRONIC_CONF_FILE]]",
            )
    elif file.startswith("$Q_PLUGIN_CONF_FILE"):
        yield Finding.error(
            *("relative-file", line, "Q_PLUGIN_CONF_FILE does not begin with a slash"),
            "write /$Q_PLUGIN_CONF_FILE",
        )
    elif not file.startswith(("/", "$")):
        yield Finding.error(
            *("relative-file", line),
            f"{file} would be created in devstack's own folder, where no service reads it",
            "name it by its variable: $IRONIC_CONF_FILE",
        )
    elif "$" in file and name not in FILES and name not in subject.localrc.values:
        near = difflib.get_close_matches(name, FILES, 1)
        yield Finding.warning(
            *("file-variable", line),
            f"neither devstack nor Ironic's plugin sets ${name}; if it is empty, devstack will "
            f"skip this and all further sections of {section.phase}",
            f"did you mean ${near[0]}?" if near else "",
        )


RULES: tuple[Rule, ...] = (line_ends, headers, outside, local_sections, files, options)
