"""From records to the columns of the events table."""

import numpy as np
import pytest

from funcsnoop.bpf.layout import ENTRY, EXIT, TAIL, event_dtype
from funcsnoop.record.columns import Columns
from funcsnoop.schemas import EVENTS


@pytest.mark.parametrize("layout", ["lean", "full"])
@pytest.mark.parametrize("arguments", [0, 2, 6])
def test_every_field_arrives(layout, arguments):
    events = np.zeros(2, event_dtype(layout, arguments))
    for row, kind in zip(events, (ENTRY, EXIT), strict=True):
        row["type"], row["cookie"], row["pid"], row["tgid"] = kind, 2, 11, 10
        row["timestamp"], row["frame"], row["ret_val"] = 2**62, 2**64 - 8, 2**64 - 1
        for i in range(arguments):
            row["args"][i] = 2**63 + i
    batch = Columns(["f", "g"]).convert(events)
    batch.validate(full=True)
    assert batch.schema.equals(EVENTS, check_metadata=True)
    entry, exit_ = batch.to_pylist()
    common = {"cookie": 2, "pid": 11, "tgid": 10, "timestamp": 2**62, "name": "g", "frame": 2**64 - 8}
    values = {f"arg{i}": 2**63 + i if i < arguments else None for i in range(6)}
    assert entry == {"type": "entry", **common, **values, "ret_val": None}
    assert exit_ == {"type": "exit", **common, **dict.fromkeys(values), "ret_val": 2**64 - 1}


def test_functions_can_share_a_name_and_only_those_used_are_in_the_dictionary():
    events = np.zeros(3, event_dtype("lean", 0))
    events["cookie"] = [3, 1, 4]
    batch = Columns(["same", "unused", "same", "other"]).convert(events)
    names = batch.column("name")
    assert names.to_pylist() == ["same", "same", "other"]
    assert names.dictionary.to_pylist() == ["same", "other"]


def test_a_tail_jump_is_an_exit_without_a_return_value():
    events = np.zeros(1, event_dtype("lean", 1))
    events["type"], events["cookie"], events["ret_val"] = TAIL, 1, 5
    (row,) = Columns(["f"]).convert(events).to_pylist()
    assert (row["type"], row["ret_val"], row["arg0"]) == ("exit", None, None)
