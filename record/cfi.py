"""Where the stack pointer stands at an instruction, from the tables for stack unwinding.

Formats: Linux Standard Base, "Exception Frames" and ".eh_frame_hdr section"; DWARF 5, 6.4 "Call Frame
Information". The canonical frame address (CFA) is what the stack pointer was before the call; at the
function's entry the stack pointer is the CFA less 8. Only the encodings that linkers write today are
read: 32-bit offsets, a sorted table.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from ..errors import TargetError
from .elf import ElfFile

_PT_GNU_EH_FRAME: Final = 0x6474E550
#: version 1; pointer pcrel|sdata4; count udata4; table datarel|sdata4
_HEADER: Final = bytes((1, 0x1B, 0x03, 0x3B))
_PCREL_SDATA4: Final = 0x1B
_MOST_BYTES: Final = 256 << 20
_MOST_ROWS: Final = 1 << 16
_RSP: Final = 7

#: Sizes of the pointer encodings that a personality routine's address may have.
_POINTER_SIZES: Final = {0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8}


class Row(NamedTuple):
    """From `address` on the CFA is `register` + `offset`; `register` is -1 where it is something else.

    `saved` counts the registers of the caller that lie on the stack.
    """

    address: int
    register: int
    offset: int
    saved: int

    @property
    def at_entry_level(self) -> bool:
        """Whether the stack pointer is what it was at the function's entry."""
        return self.register == _RSP and self.offset == 8

    def same_stack(self, other: Row) -> bool:
        return self.register >= 0 and self[1:3] == other[1:3]


class Piece(NamedTuple):
    """One range of code with a frame description of its own: a function, or a part of one."""

    start: int
    end: int
    rows: tuple[Row, ...]

    def at(self, address: int) -> Row:
        return self.rows[bisect_right(self.rows, (address, 1 << 62)) - 1]

    @property
    def like_a_function(self) -> bool:
        """Whether its first instruction finds the stack as a call leaves it."""
        return self.at(self.start).at_entry_level and not self.at(self.start).saved


class Common(NamedTuple):
    code_factor: int
    data_factor: int
    augmented: bool
    usable: bool
    program: bytes


class Frames:
    """The frame descriptions of a file; empty where it has none that can be read. Raises nothing."""

    def __init__(self, elf: ElfFile) -> None:
        #: Where each piece of code begins that has a description, in ascending order, and where that is.
        self.begins = self.descriptions = np.zeros(0, np.int64)
        #: The descriptions, and the address of the first.
        self.content = b""
        self.base = 0
        self._commons: dict[int, Common] = {}
        self._pieces: dict[int, Piece | None] = {}
        with suppress(TargetError):
            self._read_index(elf)

    @cached_property
    def starts(self) -> list[int]:
        found: list[int] = self.begins.tolist()
        return found

    @cached_property
    def _entries(self) -> list[int]:
        found: list[int] = self.descriptions.tolist()
        return found

    def _read_index(self, elf: ElfFile) -> None:
        header = next((s for s in elf.segments if s.type == _PT_GNU_EH_FRAME), None)
        if header is None or header.filesz < 12 or elf.bytes_at(header.offset, 4) != _HEADER:
            return
        pointer, count = np.frombuffer(elf.bytes_at(header.offset + 4, 8), "<i4").tolist()
        table = np.frombuffer(elf.bytes_at(header.offset + 12, (count & 0xFFFFFFFF) * 8), "<i4")
        table = table.reshape(-1, 2).astype(np.int64) + header.vaddr if header.vaddr < 1 << 62 else table[:0]
        self.base = header.vaddr + 4 + pointer
        segment = next((s for s in elf.loaded if s.vaddr <= self.base < s.vaddr + s.filesz), None)
        if segment is None:
            return
        inside = self.base - segment.vaddr
        self.content = elf.bytes_at(segment.offset + inside, min(segment.filesz - inside, _MOST_BYTES))
        if (np.diff(table[:, 0]) >= 0).all():
            self.begins, self.descriptions = table[:, 0], table[:, 1]

    def at(self, address: int) -> Piece | None:
        """The piece that holds `address`, None where none does."""
        i = bisect_right(self.starts, address) - 1
        if i < 0:
            return None
        entry = self._entries[i]
        if entry not in self._pieces:
            try:
                self._pieces[entry] = self._read(entry - self.base)
            except (IndexError, ValueError):
                self._pieces[entry] = None
        piece = self._pieces[entry]
        return piece if piece and piece.start <= address < piece.end else None

    def _read(self, at: int) -> Piece | None:
        """The description at `at` in the table; None, IndexError or ValueError when it is damaged."""
        length, back = self._word(at), self._word(at + 4)
        common = self.common(at + 4 - back)
        if not common.usable or length >= 1 << 24:
            return None
        start = self.base + at + 8 + self._word(at + 8, signed=True)
        reader = _Reader(self.content[at + 16 : at + 4 + length])
        if common.augmented:
            reader.skip(reader.uleb())
        end = start + self._word(at + 12)
        return Piece(start, end, _rows(start, common, reader))

    def common(self, at: int) -> Common:
        """What descriptions share that refer to `at`. IndexError or ValueError when it is damaged."""
        if at not in self._commons:
            self._commons[at] = self._read_common(at)
        return self._commons[at]

    def _read_common(self, at: int) -> Common:
        reader = _Reader(self.content[at + 8 : at + 4 + min(self._word(at), 4096)])
        version = reader.byte()
        name = reader.text()
        code_factor, data_factor = reader.uleb(), reader.sleb()
        reader.uleb()  # the return address's column, a byte in version 1, where it is below 128
        encoding, plain = 0, version in (1, 3)
        augmented = name.startswith(b"z")
        if augmented:
            end = reader.uleb() + reader.at
            for letter in name[1:]:
                if letter == ord("R"):
                    encoding = reader.byte()
                elif letter == ord("L"):
                    reader.byte()
                elif letter == ord("P"):
                    reader.skip(_POINTER_SIZES.get(reader.byte() & 15, 4096))
                else:
                    plain = False  # "S": the frame of a signal handler
            reader.at = end
        usable = plain and encoding == _PCREL_SDATA4 and self._word(at + 4) == 0
        return Common(code_factor, data_factor, augmented, usable, reader.rest())

    def _word(self, at: int, *, signed: bool = False) -> int:
        if not 0 <= at <= len(self.content) - 4:
            raise IndexError
        return int.from_bytes(self.content[at : at + 4], "little", signed=signed)


class _Reader:
    """Reads numbers one after another; IndexError at the end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    @cached_property
    def size(self) -> int:
        return len(self.content)

    def byte(self) -> int:
        value = self.content[self.at]
        self.at += 1
        return value

    def number(self, size: int) -> int:
        self.at += size
        if self.at > self.size:
            raise IndexError
        return int.from_bytes(self.content[self.at - size : self.at], "little")

    def uleb(self) -> int:
        value = self.content[self.at]
        self.at += 1
        if value < 128:
            return value
        value &= 127
        for shift in range(7, 70, 7):
            more = self.byte()
            value |= (more & 127) << shift
            if more < 128:
                return value
        raise ValueError

    def sleb(self) -> int:
        before = self.at
        value = self.uleb()
        bits = 7 * (self.at - before)
        return value - (1 << bits) if value >> (bits - 1) else value

    def skip(self, size: int) -> None:
        self.at += size

    def text(self) -> bytes:
        end = self.content.index(0, self.at)
        value = self.content[self.at : end]
        self.at = end + 1
        return value

    def rest(self) -> bytes:
        return self.content[self.at :]


def initial_state(common: Common) -> tuple[int, int]:
    """The register and offset of the CFA where a piece begins. IndexError or ValueError if damaged."""
    state = _State(0, common)
    state.run(_Reader(common.program))
    return state.register, state.offset


def _rows(start: int, common: Common, program: _Reader) -> tuple[Row, ...]:
    """What the program of a description says, after that of what it shares with others."""
    state = _State(start, common)
    state.run(_Reader(common.program))
    state.initial = state.saved
    state.run(program)
    state.put()
    return tuple(state.rows)


class _State:
    def __init__(self, address: int, common: Common) -> None:
        self.common = common
        self.rows: list[Row] = []
        self.address = address
        self.register, self.offset = -1, 0
        self.saved: frozenset[int] = frozenset()
        self.initial = self.saved
        self.stack: list[tuple[int, int, frozenset[int]]] = []

    def put(self) -> None:
        # Column 16 is the return address.
        self.rows.append(Row(self.address, self.register, self.offset, len(self.saved - {16})))
        if len(self.rows) > _MOST_ROWS or len(self.stack) > _MOST_ROWS:
            raise ValueError

    def advance(self, distance: int) -> None:
        if distance:
            self.put()
            self.address += distance * self.common.code_factor

    def run(self, reader: _Reader) -> None:
        while reader.at < reader.size:
            code = reader.byte()
            if code < 0x40:
                self.step(code, reader)
            elif code < 0x80:
                self.advance(code & 63)
            elif code < 0xC0:
                reader.uleb()
                self.saved |= {code & 63}
            else:
                self.restore(code & 63)

    def restore(self, register: int) -> None:
        self.saved = self.saved | {register} if register in self.initial else self.saved - {register}

    def step(self, code: int, reader: _Reader) -> None:
        match code:
            case 0x00:  # nop
                pass
            case 0x02 | 0x03 | 0x04:  # advance_loc1, 2, 4
                self.advance(reader.number(1 << code - 2))
            case 0x05 | 0x2F | 0x14 | 0x09:  # offset_extended, val_offset, register
                self.saved |= {reader.uleb()}
                reader.uleb()
            case 0x11 | 0x15:  # the same, signed
                self.saved |= {reader.uleb()}
                reader.sleb()
            case 0x06 | 0x08:  # restore_extended, same_value
                self.restore(reader.uleb())
            case 0x07 | 0x2E:  # undefined, GNU_args_size
                reader.uleb()
            case 0x0A:  # remember_state
                self.stack.append((self.register, self.offset, self.saved))
            case 0x0B:  # restore_state
                self.register, self.offset, self.saved = self.stack.pop()
            case 0x0C:  # def_cfa
                self.register, self.offset = reader.uleb(), reader.uleb()
            case 0x0D:  # def_cfa_register
                self.register = reader.uleb()
            case 0x0E:  # def_cfa_offset
                self.offset = reader.uleb()
            case 0x0F:  # def_cfa_expression
                self.register = -1
                reader.skip(reader.uleb())
            case 0x10 | 0x16:  # expression, val_expression
                self.saved |= {reader.uleb()}
                reader.skip(reader.uleb())
            case 0x12:  # def_cfa_sf
                self.register, self.offset = reader.uleb(), reader.sleb() * self.common.data_factor
            case 0x13:  # def_cfa_offset_sf
                self.offset = reader.sleb() * self.common.data_factor
            case _:
                raise ValueError
