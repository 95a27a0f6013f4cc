from __future__ import annotations

import pytest

from funcsnoop.errors import UsageError
from funcsnoop.record.functions import Function
from funcsnoop.record.spec import closest, match, parse_pattern, parse_spec


@pytest.mark.parametrize(
    ("text", "module", "pattern", "kind"),
    [
        ("main", None, "main", "glob"),
        ("str*", None, "str*", "glob"),
        ("libc:str*", "libc", "str*", "glob"),
        ("libssl.so.3:SSL_read", "libssl.so.3", "SSL_read", "glob"),
        ("/^get_/", None, "^get_", "regex"),
        ("libc:/^(?:str|mem)/", "libc", "^(?:str|mem)", "regex"),
        ("libc:/a:b/", "libc", "a:b", "regex"),
        ("/lib/x.so:/^get/", "/lib/x.so", "^get", "regex"),
        ("/lib/x.so:get*", "/lib/x.so", "get*", "glob"),
        ("./a.out:main", "./a.out", "main", "glob"),
        ("ns::f", None, "ns::f", "glob"),
        ("libx:ns::f", "libx", "ns::f", "glob"),
        ("libx:::f", "libx", "::f", "glob"),
        ("ns::T::~T", None, "ns::T::~T", "glob"),
        ("/opt/a b/lib.so:ns::T::operator()", "/opt/a b/lib.so", "ns::T::operator()", "glob"),
        ("/ns::/", None, "ns::", "regex"),
        ("C:/x", "C", "/x", None),
        ("a:b:c", "a:b", "c", "glob"),
    ],
)
def test_parsing(text, module, pattern, kind):
    if kind is None:
        with pytest.raises(UsageError):
            parse_spec(text)
        return
    spec = parse_spec(text)
    assert (spec.module, spec.pattern.text, spec.pattern.kind) == (module, pattern, kind)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the pattern is empty"),
        ("libc:", "the pattern is empty"),
        (":main", "the module before the colon is empty"),
        ("/lib/x.so", "a path needs a pattern"),
        ("/lib/x.so:/^get", "a regex stands between two slashes"),
        ("//", "a regex stands between two slashes"),
        ("libc:/(/", "the regex is invalid"),
        ("/*/", "the regex is invalid"),
        ("/a{99999999999999999999}/", "the regex is invalid"),
    ],
)
def test_what_means_nothing_is_a_usage_error(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse_spec(text)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message


def functions(*names: str | tuple[str, ...]) -> list[Function]:
    groups = [(name,) if isinstance(name, str) else name for name in names]
    return [Function(n[0], 16 * i, 16 * i, 8, n[1:]) for i, n in enumerate(groups)]


PUSH = "_ZNSt6vectorIiSaIiEE9push_backERKi"  # std::vector<int, std::allocator<int> >::push_back(int const&)
CALL = "_ZNK1FclEi"  # F::operator()(int) const
INDEX = "_ZN1FixEi"  # F::operator[](int)
TIMES = "_ZN1FmlEi"  # F::operator*(int)
PLAIN = "_Z3addii"  # add(int, int)
TEMPLATE = "_Z3addIiEvT_"  # void add<int>(int)
RUST = "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE"
ALL = functions(
    "add", "add_all", PUSH, CALL, INDEX, TIMES, PLAIN, TEMPLATE, RUST, ("malloc", "__libc_malloc")
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("add", {"add", PLAIN}),
        ("add*", {"add", "add_all", PLAIN, TEMPLATE}),
        ("ADD*", set()),
        ("add(int, int)", {PLAIN}),
        ("add<int>", {TEMPLATE}),
        ("void add<int>", {TEMPLATE}),
        ("_Z3add*", {PLAIN, TEMPLATE}),
        ("*push_back", {PUSH}),
        ("*::push_back(int const&)", {PUSH}),
        ("F::operator()", {CALL}),
        ("F::operator[]", {INDEX}),
        ("F::operator*", {TIMES}),
        ("F::operator?*", {CALL, INDEX, TIMES}),
        ("F::*", {CALL, INDEX, TIMES}),
        ("core::fmt::Formatter::pad", {RUST}),
        ("core::*", {RUST}),
        ("__libc_malloc", {"__libc_malloc"}),
        ("*malloc", {"malloc"}),
        ("mal[a-m]oc", {"malloc"}),
        ("*", {f.symbol for f in ALL}),
        ("**", {f.symbol for f in ALL}),
        ("/^add/", {"add", "add_all", PLAIN, TEMPLATE}),
        ("/^add$/", {"add", PLAIN}),
        ("/operator\\[/", {INDEX}),
        ("/libc/", {"__libc_malloc"}),
        ("nothing", set()),
        ("*nothing*", set()),
    ],
)
def test_matching(pattern, expected):
    assert {symbol for _, symbol in match(parse_pattern(pattern), ALL)} == expected


def test_a_glob_that_is_a_name_means_that_name_only():
    named = functions("a*", "ab", "[x]", "x")
    assert [s for _, s in match(parse_pattern("a*"), named)] == ["a*"]
    assert [s for _, s in match(parse_pattern("[x]"), named)] == ["[x]"]
    assert [s for _, s in match(parse_pattern("a?"), named)] == ["a*", "ab"]


def test_one_name_can_mean_several_functions():
    assert len(match(parse_pattern("init"), functions("init", "init"))) == 2


def test_closest_names():
    assert closest(parse_pattern("maloc"), ALL)[0] == "malloc"
    assert closest(parse_pattern("Formatter::*padd*"), ALL)[:1] == ["core::fmt::Formatter::pad"]
    assert closest(parse_pattern("*"), ALL) == []
