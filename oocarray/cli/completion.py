"""The command ``oocarray completion``: a script that lets a shell complete; it installs nothing.

The script is made from the parser itself, so that it knows every command and option there is.
Words that stand for files and folders are told by their placeholders: FILE, OUT, FOLDER ...
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .words import new_command

__all__ = ["add", "describe", "script"]

_FILES, _FOLDERS = {"FILE", "IN", "OUT", "PATH", "SCRIPT", "SRC", "DST"}, {"FOLDER", "DIR"}


@dataclass(frozen=True)
class Value:
    """What a word on the command line may be: one of `choices`, a file, a folder, or anything."""

    choices: tuple[str, ...] = ()
    kind: str = ""
    name: str = "value"


@dataclass(frozen=True)
class Option:
    """One option: its spellings, what it is for, and its value if it takes one."""

    names: tuple[str, ...]
    help: str
    value: Value | None


@dataclass(frozen=True)
class Command:
    """One command, or with an empty name the program itself."""

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[Value, ...]
    many: bool
    """Whether the last of `words` may come again."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray completion``."""
    command = new_command(
        commands,
        "completion",
        _run,
        help="print a script that completes commands in a shell",
        description="Print a script that lets a shell complete commands, options, their values "
        "and names of files.",
        examples=(
            "source <(oocarray completion bash)     # in ~/.bashrc",
            "source <(oocarray completion zsh)      # in ~/.zshrc, below compinit",
            "oocarray completion fish > ~/.config/fish/completions/oocarray.fish",
        ),
    )
    command.add_argument("shell", choices=tuple(_SCRIPTS), help="which shell")
    return command


def _run(arguments: argparse.Namespace) -> None:
    from .entry import make_parser

    print(script(arguments.shell, make_parser()), end="")


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script for a shell."""
    return _SCRIPTS[shell](describe(parser))


def describe(parser: argparse.ArgumentParser) -> list[Command]:
    """List the program and its commands, as far as a shell needs to know them."""
    found = [_command("", "", parser)]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            found += [_command(name, helps[name], one) for name, one in action.choices.items()]
    return found


def _command(name: str, help: str, parser: argparse.ArgumentParser) -> Command:
    options, words, many = [], [], False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        text = re.sub(r"\s*\(default: .*\)", "", action.help or "").replace("%%", "%")
        if action.option_strings:
            value = None if action.nargs == 0 else _value(action)
            options.append(Option(tuple(action.option_strings), text, value))
        else:
            words.append(_value(action))
            many = action.nargs in ("+", "*")
    return Command(name, help, tuple(options), tuple(words), many)


def _value(action: argparse.Action) -> Value:
    name = action.metavar or action.dest
    words = re.findall(r"\w+", name if isinstance(name, str) else " ".join(name))
    spoken = {word.upper() for word in words}
    kind = "file" if spoken & _FILES else "folder" if spoken & _FOLDERS else ""
    return Value(tuple(map(str, action.choices or ())), kind, " ".join(words).lower())


# ---- bash ----------------------------------------------------------------------------------

_BASH = """\
# Completion of oocarray for bash: source <(oocarray completion bash)
_oocarray() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local command="" before="" i
    # Bash makes a word of the sign between an option and its value.
    if [[ $cur == "=" ]]; then cur=""
    elif [[ $prev == "=" ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in
            {commands}) command=${{COMP_WORDS[i]}}; break ;;
        esac
    done
    if [[ $cur == --*=* ]]; then before=${{cur%%=*}}= prev=${{cur%%=*}} cur=${{cur#*=}}; fi
    case "$command:$prev" in
{values}
    esac
    case "$command" in
{words}
    esac
}}
_oocarray_choose() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -P "$before" -- "$cur"); }}
_oocarray_file() {{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -P "$before" -- "$cur")
}}
complete -F _oocarray oocarray
"""


def _bash(commands: list[Command]) -> str:
    values, words = [], []
    for command in commands:
        for option in command.options:
            if option.value is not None:
                pattern = "|".join(f"{command.name}:{name}" for name in option.names)
                values.append(f"        {pattern}) {_bash_value(option.value)}; return ;;")
        spellings = " ".join(name for option in command.options for name in option.names)
        pattern = command.name or '""'
        # Which of several words it is does not matter where one of them is a file.
        word = max(command.words, key=lambda one: bool(one.kind), default=Value())
        if not command.name:
            word = Value(tuple(one.name for one in commands if one.name))
        words.append(
            f"        {pattern})\n"
            f'            if [[ $cur == -* ]]; then _oocarray_choose "{spellings}"\n'
            f"            else {_bash_value(word)}; fi ;;"
        )
    return _BASH.format(
        commands="|".join(one.name for one in commands if one.name),
        values="\n".join(values),
        words="\n".join(words),
    )


def _bash_value(value: Value) -> str:
    if value.choices:
        return f'_oocarray_choose "{" ".join(value.choices)}"'
    if value.kind:
        return f"_oocarray_file {'-f' if value.kind == 'file' else '-d'}"
    return ":"


# ---- zsh -----------------------------------------------------------------------------------

_ZSH = """\
#compdef oocarray
# Completion of oocarray for zsh: source <(oocarray completion zsh), below compinit
_oocarray() {{
    local context state state_descr line curcontext="$curcontext"
    typeset -A opt_args
    _arguments -C \\
{options}
        '1: :_oocarray_commands' \\
        '*:: :->rest'
    [[ $state == rest ]] || return
    curcontext="${{curcontext%:*}}-$line[1]:"
    case $line[1] in
{cases}
    esac
}}
_oocarray_commands() {{
    local -a commands=(
{names}
    )
    _describe command commands
}}
if [[ $funcstack[1] == _oocarray ]]; then _oocarray "$@"; else compdef _oocarray oocarray; fi
"""


def _zsh(commands: list[Command]) -> str:
    program, rest = commands[0], commands[1:]
    cases = []
    for command in rest:
        specs = [_zsh_option(option) for option in command.options]
        last = len(command.words) - 1
        for place, word in enumerate(command.words):
            which = "*" if command.many and place == last else str(place + 1)
            specs.append(f"'{which}:{_zsh_value(word)}'")
        lines = " \\\n".join(f"                {spec}" for spec in specs)
        cases.append(f"        {command.name})\n            _arguments \\\n{lines} ;;")
    return _ZSH.format(
        options="\n".join(f"        {_zsh_option(option)} \\" for option in program.options),
        cases="\n".join(cases),
        names="\n".join(
            f"        {_quoted(one.name + ':' + one.help.replace(':', ' '))}" for one in rest
        ),
    )


def _zsh_option(option: Option) -> str:
    text = re.sub(r"[\[\]:]", " ", option.help)
    value = "" if option.value is None else f":{_zsh_value(option.value)}"
    alone = f"({' '.join(option.names)})"
    if len(option.names) == 1:
        sign = "=" if option.value is not None else ""
        return _quoted(f"{alone}{option.names[0]}{sign}[{text}]{value}")
    return f"'{alone}'{{{','.join(option.names)}}}{_quoted(f'[{text}]{value}')}"


def _zsh_value(value: Value) -> str:
    if value.choices:
        return f"{value.name}:({' '.join(value.choices)})"
    return f"{value.name}:{ {'file': '_files', 'folder': '_files -/'}.get(value.kind, '') }"


# ---- fish ----------------------------------------------------------------------------------


def _fish(commands: list[Command]) -> str:
    place = "~/.config/fish/completions/oocarray.fish"
    lines = [
        f"# Completion of oocarray for fish: oocarray completion fish > {place}",
        "complete -c oocarray -f",
    ]
    for command in commands:
        when = f"__fish_seen_subcommand_from {command.name}"
        if not command.name:
            when = "__fish_use_subcommand"
        start = f"complete -c oocarray -n {_quoted(when)}"
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            lines.append(f"{start} {names}{_fish_value(option.value)} -d {_quoted(option.help)}")
        lines += [f"{start}{_fish_word(word)}" for word in command.words if _fish_word(word)]
        if command.name:
            lines.append(
                "complete -c oocarray -n '__fish_use_subcommand' "
                f"-a {command.name} -d {_quoted(command.help)}"
            )
    return "\n".join(lines) + "\n"


def _fish_value(value: Value | None) -> str:
    if value is None:
        return ""
    return f" -r{_fish_word(value)}" if value.kind == "file" else f" -x{_fish_word(value)}"


def _fish_word(value: Value) -> str:
    if value.choices:
        return f" -a {_quoted(' '.join(value.choices))}"
    return {"file": " -F", "folder": " -a '(__fish_complete_directories)'"}.get(value.kind, "")


def _quoted(text: str) -> str:
    """Quote for a shell; fish and zsh agree on this way of writing an apostrophe."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


_SCRIPTS: dict[str, Callable[[list[Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
