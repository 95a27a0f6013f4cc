"""What is traced: a command to launch, running processes, or every process."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from ..errors import TargetError, UsageError
from . import processes

#: Longest first line that the kernel reads of a script (BINPRM_BUF_SIZE).
_SHEBANG_BYTES: Final = 256
#: Scripts may name scripts as their interpreters, so deep (the kernel's limit).
_MOST_INTERPRETERS: Final = 5
_DEFAULT_PATH: Final = "/bin:/usr/bin"


@dataclass(frozen=True)
class Target:
    """`environment` and `cwd` are those of the command; for running processes, our own."""

    command: tuple[str, ...] | None
    pids: tuple[int, ...]
    everything: bool
    environment: Mapping[str, str] = field(repr=False)
    cwd: str

    @classmethod
    def for_command(
        cls, command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> Self:
        """A command that will be launched. TargetError when it cannot be."""
        if not command or not command[0]:
            raise UsageError("there is no command", "Name one after --, as in: funcsnoop record -- ls -l")
        target = cls(
            tuple(command),
            (),
            False,
            dict(os.environ if environment is None else environment),
            cwd or os.getcwd(),
        )
        target.executable()
        return target

    @classmethod
    def for_pids(cls, pids: Sequence[int]) -> Self:
        """Running processes. TargetError when one is gone, PrivilegeError when we may not look into it."""
        for pid in pids:
            processes.check(pid)
        return cls(None, tuple(dict.fromkeys(pids)), False, dict(os.environ), os.getcwd())

    @classmethod
    def for_everything(cls) -> Self:
        return cls(None, (), True, dict(os.environ), os.getcwd())

    def program(self) -> str:
        """Absolute path of the file that the launch executes, which may be a script."""
        if self.command is None:
            raise ValueError("only a command has a program")
        return find_program(self.command[0], self.environment, self.cwd)

    def executable(self) -> str | None:
        """Path of the ELF executable that a command ends up in; None where there is no command.

        A script's is its interpreter, also where `#!` names `env`. TargetError as from execvp(3).
        """
        return None if self.command is None else interpreter_of(self.program(), self.environment, self.cwd)


def find_program(name: str, environment: Mapping[str, str], cwd: str) -> str:
    """The file that execvp(3) would execute for `name`, as an absolute path."""
    if "\0" in name:
        raise TargetError("a command cannot contain a NUL byte", "Check the command.")
    if "/" in name:
        path = os.path.join(cwd, name)
        problem = _not_executable(path)
        if problem is None:
            return path
        raise TargetError(f"{name} {problem[0]}", problem[1])
    forbidden: tuple[str, tuple[str, str]] | None = None
    for directory in environment.get("PATH", _DEFAULT_PATH).split(":"):
        path = os.path.join(cwd, directory, name)
        problem = _not_executable(path)
        if problem is None:
            return path
        if os.path.isfile(path):
            forbidden = forbidden or (path, problem)
    if forbidden:
        path, problem = forbidden
        raise TargetError(f"{path} {problem[0]}", problem[1])
    hint = "Check the spelling, or give its path."
    if os.path.exists(os.path.join(cwd, name)):
        hint = f"For the file in this directory: ./{name}"
    raise TargetError(f"no command {name} in PATH", hint)


def _not_executable(path: str) -> tuple[str, str] | None:
    """What is wrong with a file as a command, and what to do."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return "may not be reached", "This user may not search a directory above it."
    except OSError:
        return "does not exist", "Check the path of the command."
    if stat.S_ISDIR(mode):
        return "is a directory", "Name a program in it."
    if not stat.S_ISREG(mode):
        return "is not a regular file", "Name a program."
    if not os.access(path, os.X_OK):
        return "is not executable", f"Make it so with: chmod +x {os.path.normpath(path)}"
    return None


def interpreter_of(path: str, environment: Mapping[str, str], cwd: str) -> str:
    """`path` itself, or the interpreter if it is a script. Source: execve(2), "Interpreter scripts"."""
    script = path
    for _ in range(_MOST_INTERPRETERS):
        try:
            with open(path, "rb") as file:
                start = file.read(_SHEBANG_BYTES)
        except PermissionError:
            # It may be executed but not read. The caller says so when it needs the symbols.
            return path
        except OSError as error:
            raise TargetError(f"{path} cannot be read: {error.strerror}", "Check the command.") from None
        if not start.startswith(b"#!"):
            return path
        line = os.fsdecode(start[2:].split(b"\n", 1)[0]).strip(" \t")
        name, _, argument = line.replace("\t", " ").partition(" ")
        if not name:
            raise TargetError(f"{path} names no interpreter after #!", "Give one, such as: #!/bin/sh")
        if os.path.basename(name) == "env":
            path = _behind_env(path, argument.strip().split(), environment, cwd)
            continue
        interpreter = os.path.join(cwd, name)
        problem = _not_executable(interpreter)
        if problem:
            raise TargetError(f"{name}, the interpreter of {path}, {problem[0]}", problem[1])
        path = interpreter
    raise TargetError(
        f"{script}: interpreters are scripts, too many deep", "Name the interpreter as the command."
    )


def _behind_env(script: str, words: list[str], environment: Mapping[str, str], cwd: str) -> str:
    """The program that `#!/usr/bin/env …` runs. Options of env that take no argument are skipped."""
    settings = dict(environment)
    for word in words:
        word = word.removeprefix("-S")
        if word.startswith("-") or not word:
            continue
        name, equals, value = word.partition("=")
        if not equals:
            return find_program(word, settings, cwd)
        settings[name] = value
    raise TargetError(f"{script} names no interpreter after env", "Give one, such as: #!/usr/bin/env python3")
