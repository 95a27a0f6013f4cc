"""The C structs and their NumPy types agree, field by field, as the compiler sees them."""

import itertools

import numpy as np
import pytest

from funcsnoop.bpf import layout
from funcsnoop.bpf.compile import Sizes, compile_program, program_text
from funcsnoop.bpf.filters import NO_FILTERS, Filters
from funcsnoop.errors import KernelError

EVENTS = list(itertools.product(["lean", "full"], [0, 1, 6]))


def assertions(struct: str, dtype: np.dtype, shift: int = 0) -> str:
    """C that compiles only if each field of `struct` lies where `dtype` has it."""
    lines = [f'_Static_assert(sizeof(struct {struct}) == {dtype.itemsize + shift}, "size");']
    for name, (field, offset, *_) in dtype.fields.items():
        if name.startswith("_"):
            continue
        where = f"__builtin_offsetof(struct {struct}, {name})"
        size = f"sizeof(((struct {struct} *)0)->{name})"
        lines.append(f'_Static_assert({where} == {offset + shift}, "{name}");')
        lines.append(f'_Static_assert({size} == {field.itemsize + shift}, "{name} size");')
    return "\n".join(lines)


@pytest.mark.parametrize("filters", [NO_FILTERS, Filters(spans=True)])
@pytest.mark.parametrize(("name", "arguments"), EVENTS)
def test_event(name, arguments, filters):
    sizes = Sizes(layout=name, arguments=arguments, filters=filters)
    dtype = layout.event_dtype(name, arguments, filters.waits)
    text = program_text() + assertions("func_trace_event", dtype)
    compile_program(text, sizes.flags()).cleanup()


def test_other_records():
    text = program_text()
    text += assertions("snoop_counts", layout.COUNTS)
    text += assertions("snoop_loss", layout.LOSS)
    text += assertions("ended_thread", layout.ENDED_THREAD)
    text += assertions("snoop_turn", layout.TURN)
    text += assertions("snoop_birth", layout.BIRTH)
    text += assertions("snoop_filtered", layout.FILTERED)
    text += assertions("live_place", layout.LIVE_PLACE)
    text += assertions("live_stack", layout.LIVE_STACK)
    text += assertions("live_call", layout.live_call_dtype(6))
    compile_program(text, Sizes(follow=True, filters=Filters(spans=True)).flags()).cleanup()


def test_a_wrong_offset_does_not_compile():
    text = program_text() + assertions("snoop_counts", layout.COUNTS, shift=1)
    with pytest.raises(KernelError, match=r"static.assert"):
        compile_program(text, Sizes().flags())


def test_full_is_the_struct_of_the_design_with_the_frame():
    dtype = layout.event_dtype("full", 6)
    assert dtype.itemsize == 160
    assert [n for n in dtype.names if not n.startswith("_")] == [
        "type", "cookie", "pid", "tgid", "timestamp", "name", "args", "ret_val", "frame",
    ]  # fmt: skip
